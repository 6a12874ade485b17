// An express-pouchdb server over databases in memory; says its port in a line of JSON.
import express from 'express';
import expressPouchDB from 'express-pouchdb';
import PouchDB from 'pouchdb-core';
import http from 'pouchdb-adapter-http';
import memory from 'pouchdb-adapter-memory';
import mapreduce from 'pouchdb-mapreduce';
import replication from 'pouchdb-replication';

const Stored = PouchDB.plugin(memory).plugin(http).plugin(replication).plugin(mapreduce).defaults({ adapter: 'memory' });
const app = express();
app.use('/', expressPouchDB(Stored, { mode: 'minimumForPouchDB', inMemoryConfig: true, logPath: '/dev/null' }));
const server = app.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
