// An EHR made of HAPI FHIR's plain server: its routing, its parser, its headers, its paging and its CapabilityStatement; behind
// them a store in memory with versions (`Kept`). Run: `java HapiEhr PORT`. `/_all/Patient` lists what it holds, `/_truth` every
// version that was ever written, by whom (NDJSON), so that a test judges by its true content.

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.server.FifoMemoryPagingProvider;
import ca.uhn.fhir.rest.server.RestfulServer;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.hl7.fhir.r4.model.Appointment;
import org.hl7.fhir.r4.model.Binary;
import org.hl7.fhir.r4.model.Communication;
import org.hl7.fhir.r4.model.DocumentReference;
import org.hl7.fhir.r4.model.Location;
import org.hl7.fhir.r4.model.Patient;
import org.hl7.fhir.r4.model.Practitioner;
import org.hl7.fhir.r4.model.Resource;
import org.hl7.fhir.r4.model.Schedule;
import org.hl7.fhir.r4.model.Slot;

public final class HapiEhr {
  private static final List<Class<? extends Resource>> TYPES = List.of(
      Practitioner.class, Location.class, Patient.class, Schedule.class, Slot.class, Appointment.class,
      Communication.class, DocumentReference.class, Binary.class);

  public static void main(String[] arguments) throws Exception {
    FhirContext fhir = FhirContext.forR4();
    Truth truth = new Truth(fhir);
    Map<String, Kept<?>> held = new LinkedHashMap<>();
    for (Class<? extends Resource> type : TYPES) {
      held.put(type.getSimpleName(), new Kept<>(fhir, type, truth));
    }
    RestfulServer server = new RestfulServer(fhir);
    server.setResourceProviders(List.copyOf(held.values()));
    // A page's link names the base and no type, as with every HAPI.
    FifoMemoryPagingProvider pages = new FifoMemoryPagingProvider(100);
    pages.setDefaultPageSize(20);
    pages.setMaximumPageSize(20);
    server.setPagingProvider(pages);

    Tomcat tomcat = new Tomcat();
    tomcat.setBaseDir(System.getProperty("java.io.tmpdir"));
    tomcat.setHostname("127.0.0.1");
    tomcat.setPort(Integer.parseInt(arguments[0]));
    tomcat.getConnector().setProperty("address", "127.0.0.1");
    Context context = tomcat.addContext("", new File(".").getAbsolutePath());
    Tomcat.addServlet(context, "fhir", server);
    context.addServletMappingDecoded("/fhir/*", "fhir");
    Tomcat.addServlet(context, "aside", new Aside(held, truth));
    context.addServletMappingDecoded("/*", "aside");
    tomcat.start();
    System.out.println("listening http://127.0.0.1:" + arguments[0] + "/fhir");
    tomcat.getServer().await();
  }

  /** What a test asks past the FHIR API. */
  private static final class Aside extends HttpServlet {
    private final Map<String, Kept<?>> held;
    private final Truth truth;

    Aside(Map<String, Kept<?>> held, Truth truth) {
      this.held = held;
      this.truth = truth;
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
      String path = request.getRequestURI();
      String text = path.equals("/_truth") ? truth.told() : null;
      Kept<?> kept = path.startsWith("/_all/") ? held.get(path.substring("/_all/".length())) : null;
      if (kept != null) {
        text = kept.newest().map(body -> "{\"resource\":" + body + "}").collect(Collectors.joining(",", "{\"entry\":[", "]}"));
      }
      response.setStatus(text == null ? 404 : 200);
      response.setContentType("application/json");
      response.getOutputStream().write((text == null ? "" : text).getBytes(StandardCharsets.UTF_8));
    }
  }
}
