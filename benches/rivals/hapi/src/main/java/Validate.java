import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r4.model.Resource;
import org.hl7.fhir.utilities.npm.NpmPackage;

/**
 * HL7's InstanceValidator by way of HAPI, offline: reads lines {"id", "text"} (text: a resource as JSON), writes lines
 * {"id", "issues": [{"severity", "at", "id", "text"}]}. Options are those of `liaison validate`: extensions and claimed
 * profiles that nobody knows are no errors, example URLs are allowed, nothing is fetched. Arguments: in, out, packages.
 */
public final class Validate {
  private Validate() {}

  public static void main(String[] arguments) throws Exception {
    FhirValidator validator = validator(List.of(arguments).subList(2, arguments.length));
    Gson gson = new Gson();
    long began = System.nanoTime();
    int count = 0;
    try (BufferedReader in = Files.newBufferedReader(Path.of(arguments[0]));
        PrintWriter out = new PrintWriter(Files.newBufferedWriter(Path.of(arguments[1])))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        JsonObject asked = gson.fromJson(line, JsonObject.class);
        JsonObject answer = new JsonObject();
        answer.add("id", asked.get("id"));
        answer.add("issues", issues(validator, asked.get("text").getAsString()));
        out.println(gson.toJson(answer));
        if (count % 50 == 0) {
          out.flush();
        }
        if (++count % 1000 == 0) {
          System.err.printf("%d, %d ms each%n", count, (System.nanoTime() - began) / 1_000_000 / count);
        }
      }
    }
  }

  private static FhirValidator validator(List<String> packages) throws Exception {
    FhirContext context = FhirContext.forR4();
    PrePopulatedValidationSupport loaded = new PrePopulatedValidationSupport(context);
    for (String archive : packages) {
      load(context, loaded, Path.of(archive));
    }
    UnknownCodeSystemWarningValidationSupport unknown = new UnknownCodeSystemWarningValidationSupport(context);
    unknown.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
    FhirInstanceValidator instances = new FhirInstanceValidator(new ValidationSupportChain(
        loaded,
        new DefaultProfileValidationSupport(context),
        new CommonCodeSystemsTerminologyService(context),
        new InMemoryTerminologyServerValidationSupport(context),
        new SnapshotGeneratingValidationSupport(context),
        unknown));
    instances.setAnyExtensionsAllowed(true);
    instances.setErrorForUnknownProfiles(false);
    instances.setAllowExamples(true);
    instances.setAssumeValidRestReferences(false);
    return context.newValidator().registerValidatorModule(instances);
  }

  private static void load(FhirContext context, PrePopulatedValidationSupport into, Path archive) throws Exception {
    try (InputStream bytes = Files.newInputStream(archive)) {
      NpmPackage found = NpmPackage.fromPackage(bytes);
      for (Map.Entry<String, List<String>> ofType : found.getFolders().get("package").getTypes().entrySet()) {
        if (List.of("StructureDefinition", "ValueSet", "CodeSystem").contains(ofType.getKey())) {
          for (String name : ofType.getValue()) {
            String json = new String(found.getFolders().get("package").fetchFile(name), StandardCharsets.UTF_8);
            into.addResource((Resource) context.newJsonParser().parseResource(json));
          }
        }
      }
    }
  }

  private static JsonArray issues(FhirValidator validator, String text) {
    JsonArray found = new JsonArray();
    try {
      for (SingleValidationMessage message : validator.validateWithResult(text).getMessages()) {
        String severity = message.getSeverity() == null ? "error" : message.getSeverity().getCode();
        found.add(issue(severity, message.getLocationString(), message.getMessageId(), message.getMessage()));
      }
    } catch (Exception | StackOverflowError thrown) {
      found.add(issue("fatal", "", "thrown", String.valueOf(thrown.getMessage())));
    }
    return found;
  }

  private static JsonObject issue(String severity, String at, String id, String text) {
    JsonObject issue = new JsonObject();
    issue.addProperty("severity", severity);
    issue.addProperty("at", at);
    issue.addProperty("id", id);
    issue.addProperty("text", text);
    return issue;
  }
}
