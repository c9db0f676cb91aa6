// Every version that was ever written, by whom.

import ca.uhn.fhir.context.FhirContext;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.hl7.fhir.r4.model.Resource;

final class Truth {
  private final FhirContext fhir;
  private final List<String> lines = new ArrayList<>();

  Truth(FhirContext fhir) {
    this.fhir = fhir;
  }

  synchronized void add(String by, Resource resource) {
    String who = by == null ? "" : by.replaceAll("[^a-z]", "");
    lines.add(String.format("{\"by\":\"%s\",\"type\":\"%s\",\"id\":\"%s\",\"version\":\"%s\",\"body\":%s}", who,
        resource.fhirType(), resource.getIdElement().getIdPart(), resource.getMeta().getVersionId(),
        fhir.newJsonParser().encodeResourceToString(resource)));
  }

  synchronized String told() {
    return lines.stream().map(line -> line + "\n").collect(Collectors.joining());
  }
}
