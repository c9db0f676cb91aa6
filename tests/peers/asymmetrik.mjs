// An EHR made of `@asymmetrik/node-fhir-server-core`: its routes, its sanitising, its resource classes and its answers; behind
// them the services that the framework leaves to whoever uses it, here a store in memory with versions. The framework ignores
// `If-Match`, says nothing in the body of a write's answer, and writes ETags bare (`1`, not `W/"1"`). Run in a folder where the
// package is installed: `node asymmetrik.mjs PORT`. The hospital's own screens (`x-staff`) do lock what they edit; its API does not.
//
// `/_all/Patient` lists what it holds, `/_truth` every version that was ever written, by whom (NDJSON), so that a test judges by
// its true history. `PAUSE_MS` makes it slow: what is read is that much older when it arrives. `HISTORY=none`: no old versions.

import { createRequire } from 'node:module';
import { join } from 'node:path';

// The package lies where this is run, not where this file stands.
const require = createRequire(join(process.cwd(), 'package.json'));
const { initialize, ServerError, resolveSchema } = require('@asymmetrik/node-fhir-server-core');
const express = require('express');

const VERSION = '4_0_1';
const port = Number(process.argv[2]);
const pause = Number(process.env.PAUSE_MS ?? 0);
const hasHistory = process.env.HISTORY !== 'none';
const TYPES = [
  'Practitioner', 'Location', 'Patient', 'Schedule', 'Slot', 'Appointment', 'Communication', 'DocumentReference', 'Binary',
];

const truth = [];
// By type and id: every version, oldest first.
const held = Object.fromEntries(TYPES.map((type) => [type, new Map()]));
let numbers = 0;

const slowly = (value) => new Promise((done) => setTimeout(() => done(value), pause));

function refuse(statusCode, code, text) {
  return new ServerError(text, { statusCode, issue: [{ severity: 'error', code, details: { text } }] });
}

function serviceFor(type) {
  const Resource = resolveSchema(VERSION, type.toLowerCase());
  const store = held[type];
  const newest = (id) => store.get(id)?.at(-1);

  function keep(id, body, by) {
    const versions = store.get(id) ?? [];
    const versionId = String(versions.length + 1);
    // As the framework's class holds it.
    const lastUpdated = new Date().toISOString();
    const kept = new Resource({ ...body, id, meta: { ...body.meta, versionId, lastUpdated } }).toJSON();
    const plain = JSON.parse(JSON.stringify(kept));
    store.set(id, [...versions, plain]);
    truth.push({ at: lastUpdated, by: by ?? '', type, id, version: versionId, body: plain });
    return { id, created: versions.length === 0, resource_version: versionId };
  }

  function search(_args, { req }) {
    const { identifier, _id, _lastUpdated, _count, _offset } = req.query;
    const wanted = identifier?.split('|');
    const since = [_lastUpdated ?? []].flat().map((at) => [at.slice(0, 2), Date.parse(at.slice(2))]);
    const fits = (body) =>
      (!_id || body.id === _id) &&
      (!wanted ||
        (body.identifier ?? []).some((one) =>
          wanted.length === 1 ? one.value === wanted[0] : one.system === wanted[0] && one.value === wanted[1])) &&
      since.every(([prefix, at]) => {
        const then = Date.parse(body.meta.lastUpdated);
        return prefix === 'lt' || prefix === 'le' ? then <= at : then >= at;
      });
    const found = [...store.values()].map((versions) => versions.at(-1)).filter(fits);
    const first = Number(_offset ?? 0);
    const page = found.slice(first, first + Number(_count ?? 1000));
    const entry = page.map((resource) => ({ resource, search: { mode: 'match' } }));
    const link = [{ relation: 'self', url: `http://127.0.0.1:${port}${req.originalUrl}` }];
    if (first + page.length < found.length) {
      const next = new URL(link[0].url);
      next.searchParams.set('_offset', String(first + page.length));
      link.push({ relation: 'next', url: next.href });
    }
    return slowly({ resourceType: 'Bundle', type: 'searchset', total: found.length, link, entry });
  }

  const service = {
    search,
    async searchById({ id }) {
      const found = newest(id);
      if (!found) {
        throw refuse(404, 'not-found', `${type}/${id} is not known`);
      }
      return slowly(found);
    },
    async create(_args, { req }) {
      numbers += 1;
      return slowly(keep(String(numbers), req.body, req.headers['x-staff']));
    },
    async update({ id }, { req }) {
      const by = req.headers['x-staff'];
      const read = req.headers['if-match']?.replace(/^W\/|"/g, '').replaceAll('"', '');
      if (by && read !== newest(id)?.meta.versionId) {
        throw refuse(412, 'conflict', 'somebody else has edited it meanwhile');
      }
      return slowly(keep(id, req.body, by));
    },
  };
  if (hasHistory) {
    service.searchByVersionId = async ({ id, version_id: version }) => {
      const found = store.get(id)?.find((body) => body.meta.versionId === version);
      if (!found) {
        throw refuse(404, 'not-found', `${type}/${id} has no version ${version}`);
      }
      return slowly(found);
    };
    service.historyById = async ({ id }) => {
      const entry = [...(store.get(id) ?? [])].reverse().map((resource) => ({ resource }));
      return slowly({ resourceType: 'Bundle', type: 'history', total: entry.length, entry });
    };
  }
  return service;
}

const app = express();
app.get('/_truth', (_request, response) => {
  response.type('application/x-ndjson').send(truth.map((line) => `${JSON.stringify(line)}\n`).join(''));
});
app.get('/_all/:type', (request, response) => {
  const all = [...(held[request.params.type]?.values() ?? [])];
  response.json({ entry: all.map((versions) => ({ resource: versions.at(-1) })) });
});

const profiles = Object.fromEntries(
  TYPES.map((type) => [type, { service: serviceFor(type), versions: [VERSION] }])
);
const server = initialize({ profiles, server: { corsOptions: {} }, logging: { level: 'error' } }, app);
server.listen(port, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${port}/${VERSION}`));
