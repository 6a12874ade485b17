// fhir-kit-client against a hub that runs: what a page or a service of others does with it.
// HUB_FHIR, HUB_CLIENT_ID and HUB_CLIENT_SECRET say which hub; see tests/clients/test_fhir_kit_client.py.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";
import { CapabilityTool, Client } from "fhir-kit-client";

const { HUB_FHIR: baseUrl, HUB_CLIENT_ID: id, HUB_CLIENT_SECRET: secret } = process.env;
const client = new Client({ baseUrl });
let system;

const newcomer = (value, more = {}) =>
  ({ resourceType: "Patient", identifier: [{ system, value }], gender: "female", ...more });

const create = (body, headers) => client.create({ resourceType: body.resourceType, body, options: { headers } });

const refused = (status, code) => (error) => {
  assert.equal(error.response.status, status);
  assert.equal(error.response.data.resourceType, "OperationOutcome");
  assert.equal(error.response.data.issue[0].details.coding[0].code, code);
  return true;
};

before(async () => {
  system = `urn:uuid:${randomUUID()}`;
  const { tokenUrl } = await client.smartAuthMetadata();
  const answer = await fetch(tokenUrl, {
    method: "POST",
    headers: { Authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` },
    body: new URLSearchParams({ grant_type: "client_credentials", scope: "system/*.cruds" }),
  });
  client.bearerToken = (await answer.json()).access_token;
});

test("the hub tells what it can do", async () => {
  const statement = await client.capabilityStatement();
  const tool = new CapabilityTool(statement);
  assert.equal(statement.implementation.url, baseUrl);
  assert.ok(tool.resourceCan("Patient", "vread"));
  assert.ok(tool.resourceSearch("Observation", "code-value-quantity"));
  assert.ok(tool.serverCan("transaction"));
});

test("a resource is created, read, changed and deleted", async () => {
  const made = await create(newcomer("1"));
  const { response } = Client.httpFor(made);
  assert.equal(response.headers.get("location"), `${baseUrl}/Patient/${made.id}/_history/1`);
  assert.equal(response.headers.get("etag"), 'W/"1"');
  const place = { resourceType: "Patient", id: made.id };
  assert.equal((await client.read(place)).gender, "female");

  const headers = { "If-Match": 'W/"1"' };
  await client.update({ ...place, body: { ...made, gender: "other" }, options: { headers } });
  await assert.rejects(
    client.update({ ...place, body: { ...made, gender: "male" }, options: { headers } }),
    refused(412, "version-conflict"),
  );
  const jsonPatch = [{ op: "test", path: "/gender", value: "other" }, { op: "add", path: "/active", value: true }];
  assert.equal((await client.patch({ ...place, jsonPatch })).active, true);
  assert.equal((await client.vread({ ...place, version: "1" })).gender, "female");
  assert.equal((await client.history(place)).entry.length, 3);
  await client.delete(place);
  await assert.rejects(client.read(place), refused(410, "resource-deleted"));
  await assert.rejects(client.read({ ...place, id: randomUUID() }), refused(404, "unknown-resource"));
});

test("what is there is found, not made again", async () => {
  const made = await create(newcomer("once"));
  const again = await create(newcomer("once"), { "If-None-Exist": `identifier=${system}|once` });
  assert.equal(again.id, made.id);
  assert.equal(Client.httpFor(again).response.status, 200);
  const searchParams = { identifier: `${system}|once` };
  const changed = await client.update({ resourceType: "Patient", searchParams, body: newcomer("once", { active: true }) });
  assert.deepEqual([changed.id, changed.meta.versionId], [made.id, "2"]);
  const nothing = await create(newcomer("minimal"), { Prefer: "return=minimal" });
  assert.deepEqual(nothing, {});
});

test("a transaction arrives whole and is found from every side", async () => {
  const [patient, observation] = [`urn:uuid:${randomUUID()}`, `urn:uuid:${randomUUID()}`];
  const entry = [
    { fullUrl: patient, resource: newcomer("case"), request: { method: "POST", url: "Patient" } },
    {
      fullUrl: observation,
      resource: {
        resourceType: "Observation", status: "final", code: { text: "mạch" }, subject: { reference: patient },
        valueQuantity: { value: 72.5 },
      },
      request: { method: "POST", url: "Observation" },
    },
  ];
  const answer = await client.transaction({ body: { resourceType: "Bundle", type: "transaction", entry } });
  assert.deepEqual(answer.entry.map((item) => item.response.status.slice(0, 3)), ["201", "201"]);
  const found = await client.search({
    resourceType: "Observation",
    searchParams: { "subject:Patient.identifier": `${system}|case`, _include: "Observation:subject" },
  });
  assert.deepEqual(found.entry.map((item) => item.search.mode), ["match", "include"]);
  const { resource } = found.entry[0];
  const resolved = await client.resolve({ reference: resource.subject.reference, context: found });
  assert.equal(resolved.identifier[0].value, "case");
  assert.equal((await client.resolve({ reference: resource.subject.reference })).id, resolved.id);

  const compartment = { resourceType: "Patient", id: resolved.id };
  for (const postSearch of [false, true]) {
    const options = { postSearch };
    const inside = await client.search({ resourceType: "Observation", compartment, searchParams: { status: "final" }, options });
    assert.equal(inside.entry[0].resource.id, resource.id);
    const posted = await client.search({ resourceType: "Patient", searchParams: { identifier: `${system}|case` }, options });
    assert.equal(posted.entry[0].resource.id, resolved.id);
    const several = await client.search({ searchParams: { _type: "Patient,Observation", _id: resolved.id }, options });
    assert.equal(several.entry.length, 1);
  }
  const everything = await client.operation({ name: "everything", ...compartment, method: "GET" });
  assert.equal(everything.entry.length, 2);
  const checked = await client.operation({ name: "validate", resourceType: "Patient", input: newcomer("1") });
  assert.equal(checked.issue[0].severity, "information");
  const request = { method: "GET", url: `Patient/${resolved.id}` };
  const batch = await client.batch({ body: { resourceType: "Bundle", type: "batch", entry: [{ request }] } });
  assert.equal(batch.entry[0].resource.id, resolved.id);
});

test("pages are turned to the last", async () => {
  for (let number = 0; number < 5; number += 1) await create(newcomer(`page-${number}`, { active: false }));
  const searchParams = { identifier: `${system}|`, active: "false", _count: 2, _sort: "_lastUpdated" };
  const seen = [];
  let bundle = await client.search({ resourceType: "Patient", searchParams });
  while (bundle) {
    seen.push(...bundle.entry.map((item) => item.resource.identifier[0].value));
    bundle = await client.nextPage({ bundle });
  }
  assert.deepEqual(seen, [0, 1, 2, 3, 4].map((number) => `page-${number}`));
  assert.ok((await client.history()).entry.length >= 5);
  assert.ok((await client.history({ resourceType: "Patient" })).entry.length >= 5);
});

test("refusals come as OperationOutcomes", async () => {
  await assert.rejects(create({ resourceType: "Patient", gender: "unheard-of" }), refused(422, "invalid-resource"));
  const search = (searchParams) => client.search({ resourceType: "Patient", searchParams });
  await assert.rejects(search({ unheard: "1" }), refused(400, "unknown-search-parameter"));
  await assert.rejects(search({ birthdate: "never" }), refused(400, "invalid-search-value"));
  await assert.rejects(new Client({ baseUrl }).read({ resourceType: "Patient", id: "1" }), refused(401, "not-signed-in"));
});
