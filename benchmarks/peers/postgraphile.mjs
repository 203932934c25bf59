// PostGraphile 5 on the service's own tables, its Amber preset, without tokens: node postgraphile.mjs FOLDER PORT DATABASE_URL
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [folder, port, connectionString] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const { postgraphile } = require("postgraphile");
const { PostGraphileAmberPreset } = require("postgraphile/presets/amber");
const { makePgService } = require("postgraphile/adaptors/pg");
const { grafserv } = require("postgraphile/grafserv/node");

const preset = {
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString, schemas: ["public"], poolConfig: { max: 10 } })],
  grafserv: { port: Number(port), graphqlPath: "/graphql", graphiql: false, watch: false },
  grafast: { explain: false },
};
const instance = postgraphile(preset).createServ(grafserv);
const server = createServer();
server.on("error", (error) => { console.error(error); process.exit(1); });
await instance.addTo(server);
server.listen(Number(port), "127.0.0.1");
