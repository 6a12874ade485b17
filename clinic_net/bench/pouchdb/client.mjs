// Pushes the documents of a file (one JSON object a line, with "_id") to a CouchDB, then pulls them into another
// database. Says every stage in a line of JSON and goes on when it reads a line: between stages somebody counts bytes.
//
//   node client.mjs FILE URL BATCH
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import PouchDB from 'pouchdb-core';
import http from 'pouchdb-adapter-http';
import memory from 'pouchdb-adapter-memory';
import replication from 'pouchdb-replication';

const [file, url, size] = process.argv.slice(2);
const batch = Number(size);
const Local = PouchDB.plugin(memory).plugin(http).plugin(replication);
const documents = readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function stage(name, work) {
  const began = process.hrtime.bigint();
  const documentsDone = await work();
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  console.log(JSON.stringify({ stage: name, documents: documentsDone, seconds }));
  await lines.next();
}

const remote = new Local(url);
const desk = new Local('desk', { adapter: 'memory' });
const options = { batch_size: batch, batches_limit: 2 };

await stage('opened', async () => {
  await remote.info();
  return 0;
});
await stage('steady push', async () => {
  // A clinic at work: some are saved, and go; then the next.
  let done = 0;
  for (let at = 0; at < documents.length; at += batch) {
    await desk.bulkDocs(documents.slice(at, at + batch));
    const result = await desk.replicate.to(remote, options);
    done += result.docs_written;
  }
  return done;
});
await stage('nothing new', async () => {
  await desk.replicate.to(remote, options);
  return 0;
});
await stage('pull', async () => {
  const fresh = new Local('fresh', { adapter: 'memory' });
  const result = await fresh.replicate.from(remote, { batch_size: 1000, batches_limit: 2 });
  return result.docs_written;
});
process.exit(0);
