// One type's resources in memory, every version of each. What HAPI's own store would do is done here: If-Match (409, as its JPA
// server answers), conditional creates, versions, searches by identifier, id and time.

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.annotation.ConditionalUrlParam;
import ca.uhn.fhir.rest.annotation.Create;
import ca.uhn.fhir.rest.annotation.Delete;
import ca.uhn.fhir.rest.annotation.History;
import ca.uhn.fhir.rest.annotation.IdParam;
import ca.uhn.fhir.rest.annotation.OptionalParam;
import ca.uhn.fhir.rest.annotation.Read;
import ca.uhn.fhir.rest.annotation.ResourceParam;
import ca.uhn.fhir.rest.annotation.Search;
import ca.uhn.fhir.rest.annotation.Update;
import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.api.server.RequestDetails;
import ca.uhn.fhir.rest.param.DateRangeParam;
import ca.uhn.fhir.rest.param.TokenOrListParam;
import ca.uhn.fhir.rest.param.TokenParam;
import ca.uhn.fhir.rest.server.IResourceProvider;
import ca.uhn.fhir.rest.server.exceptions.ResourceGoneException;
import ca.uhn.fhir.rest.server.exceptions.ResourceNotFoundException;
import ca.uhn.fhir.rest.server.exceptions.ResourceVersionConflictException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.hl7.fhir.r4.model.Base;
import org.hl7.fhir.r4.model.IdType;
import org.hl7.fhir.r4.model.Identifier;
import org.hl7.fhir.r4.model.Property;
import org.hl7.fhir.r4.model.Resource;

public final class Kept<T extends Resource> implements IResourceProvider {
  private static final AtomicLong NUMBERS = new AtomicLong();
  private final FhirContext fhir;
  private final Class<T> type;
  private final Truth truth;
  /** By id: every version as JSON, oldest first; an empty text is a deletion. */
  private final Map<String, List<String>> held = new LinkedHashMap<>();

  Kept(FhirContext fhir, Class<T> type, Truth truth) {
    this.fhir = fhir;
    this.type = type;
    this.truth = truth;
  }

  @Override
  public Class<T> getResourceType() {
    return type;
  }

  synchronized Stream<String> newest() {
    return List.copyOf(held.values()).stream().map(versions -> versions.get(versions.size() - 1)).filter(body -> !body.isEmpty());
  }

  private T parsed(String body) {
    T resource = fhir.newJsonParser().parseResource(type, body);
    resource.setId(new IdType(type.getSimpleName(), resource.getIdElement().getIdPart(), resource.getMeta().getVersionId()));
    return resource;
  }

  private MethodOutcome keep(String id, T resource, RequestDetails request) {
    List<String> versions = held.computeIfAbsent(id, unused -> new ArrayList<>());
    boolean created = versions.isEmpty();
    String version = String.valueOf(versions.size() + 1);
    resource.setId(new IdType(type.getSimpleName(), id, version));
    resource.getMeta().setVersionId(version).setLastUpdated(new Date());
    versions.add(fhir.newJsonParser().encodeResourceToString(resource));
    truth.add(request.getHeader("x-staff"), resource);
    MethodOutcome outcome = new MethodOutcome(resource.getIdElement(), created);
    outcome.setResource(resource);
    return outcome;
  }

  @Read(version = true)
  public synchronized T read(@IdParam IdType id) {
    List<String> versions = held.get(id.getIdPart());
    if (versions == null) {
      throw new ResourceNotFoundException(id);
    }
    int at = id.hasVersionIdPart() ? id.getVersionIdPartAsLong().intValue() : versions.size();
    if (at < 1 || at > versions.size()) {
      throw new ResourceNotFoundException(id);
    }
    if (versions.get(at - 1).isEmpty()) {
      throw new ResourceGoneException(id);
    }
    return parsed(versions.get(at - 1));
  }

  @Create
  public synchronized MethodOutcome create(@ResourceParam T resource, @ConditionalUrlParam String condition, RequestDetails request) {
    if (condition != null) {
      String wanted = URLDecoder.decode(condition.replaceFirst(".*identifier=", ""), StandardCharsets.UTF_8);
      TokenParam token = new TokenParam();
      token.setValueAsQueryToken(fhir, "identifier", null, wanted);
      List<T> found = newest().map(this::parsed).filter(one -> carries(one, token)).toList();
      if (!found.isEmpty()) {
        MethodOutcome outcome = new MethodOutcome(found.get(0).getIdElement(), false);
        outcome.setResource(found.get(0));
        return outcome;
      }
    }
    return keep(String.valueOf(NUMBERS.incrementAndGet()), resource, request);
  }

  @Update
  public synchronized MethodOutcome update(@IdParam IdType id, @ResourceParam T resource, RequestDetails request) {
    List<String> versions = held.get(id.getIdPart());
    if (versions == null) {
      throw new ResourceNotFoundException(id);
    }
    // HAPI puts the version of If-Match into the id.
    if (id.hasVersionIdPart() && id.getVersionIdPartAsLong() != versions.size()) {
      throw new ResourceVersionConflictException("Trying to update " + id.getValue() + " but this is not the current version");
    }
    return keep(id.getIdPart(), resource, request);
  }

  @Delete
  public synchronized MethodOutcome delete(@IdParam IdType id) {
    read(new IdType(type.getSimpleName(), id.getIdPart()));
    held.get(id.getIdPart()).add("");
    return new MethodOutcome();
  }

  @History
  public synchronized List<T> history(@IdParam IdType id) {
    List<T> found = new ArrayList<>(held.getOrDefault(id.getIdPart(), List.of()).stream().filter(body -> !body.isEmpty()).map(this::parsed).toList());
    Collections.reverse(found);
    return found;
  }

  @Search
  public synchronized List<T> search(
      @OptionalParam(name = "identifier") TokenOrListParam identifier,
      @OptionalParam(name = "_id") TokenOrListParam id,
      @OptionalParam(name = "_lastUpdated") DateRangeParam updated) {
    return newest().map(this::parsed)
        .filter(one -> identifier == null || identifier.getValuesAsQueryTokens().stream().anyMatch(token -> carries(one, token)))
        .filter(one -> id == null || id.getValuesAsQueryTokens().stream().anyMatch(token -> token.getValue().equals(one.getIdElement().getIdPart())))
        .filter(one -> updated == null || within(updated, one.getMeta().getLastUpdated()))
        .toList();
  }

  private static boolean within(DateRangeParam range, Date at) {
    Date from = range.getLowerBoundAsInstant();
    Date until = range.getUpperBoundAsInstant();
    return (from == null || !at.before(from)) && (until == null || !at.after(until));
  }

  private static boolean carries(Resource resource, TokenParam wanted) {
    Property property = resource.getNamedProperty("identifier");
    for (Base value : property == null ? List.<Base>of() : property.getValues()) {
      Identifier identifier = (Identifier) value;
      boolean anySystem = wanted.getSystem() == null;
      if ((anySystem || wanted.getSystem().equals(identifier.getSystem())) && wanted.getValue().equals(identifier.getValue())) {
        return true;
      }
    }
    return false;
  }
}
