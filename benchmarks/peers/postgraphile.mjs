// PostGraphile 5 on the service's own tables, its Amber preset: node postgraphile.mjs FOLDER PORT DATABASE_URL [KEYS_URL]
// Without KEYS_URL nothing is checked. With it each request does what ours does: its token is verified (once, then
// remembered) with the keys of that URL, its session is looked up, its claims are set for row-level security by
// pgSettings, and it has one line in the log.
import { createPublicKey, randomUUID, verify } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [folder, port, connectionString, keysUrl] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const { postgraphile } = require("postgraphile");
const { PostGraphileAmberPreset } = require("postgraphile/presets/amber");
const { makePgService } = require("postgraphile/adaptors/pg");
const { grafserv } = require("postgraphile/grafserv/node");
const pg = require("pg");

const guard = async () => {
  const { keys } = await (await fetch(keysUrl)).json();
  const known = new Map();
  const pool = new pg.Pool({ connectionString, max: 10 });
  const text = `SELECT role, suspended_at, EXISTS (SELECT 1 FROM auth_session s WHERE s.id = $2
    AND s.account_id = account.id AND s.expires_at > now()) AS lives FROM account WHERE id = $1`;
  const read = (token) => {
    const [head, body, signature] = token.split(".");
    const key = keys.find(({ kid }) => kid === JSON.parse(Buffer.from(head, "base64url")).kid);
    const given = { key: createPublicKey({ key, format: "jwk" }), dsaEncoding: "ieee-p1363" };
    if (!verify("sha256", `${head}.${body}`, given, Buffer.from(signature, "base64url"))) throw new Error("refused");
    const claims = JSON.parse(Buffer.from(body, "base64url"));
    if (known.size >= 1000) known.clear();
    known.set(token, claims);
    return claims;
  };
  return async ({ node }) => {
    const started = performance.now();
    const token = node.req.headers.authorization.slice("Bearer ".length);
    const claims = known.get(token) ?? read(token);
    const { rows } = await pool.query({ name: "caller", text, values: [claims.sub, claims.session_id] });
    if (claims.exp <= Date.now() / 1000 || !rows[0]?.lives || rows[0].suspended_at) throw new Error("refused");
    node.res.on("finish", () => process.stderr.write(JSON.stringify({
      event: "request", level: "info", timestamp: new Date().toISOString(), outcome: node.res.statusCode,
      duration_ms: Math.round((performance.now() - started) * 10) / 10, request_id: randomUUID(), account_id: claims.sub,
    }) + "\n"));
    return { pgSettings: { "request.jwt.claims": JSON.stringify({ sub: claims.sub, role: "authenticated" }) } };
  };
};

const preset = {
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString, schemas: ["public"], poolConfig: { max: 10 } })],
  grafserv: { port: Number(port), graphqlPath: "/graphql", graphiql: false, watch: false },
  grafast: { explain: false, ...(keysUrl && { context: await guard() }) },
};
const instance = postgraphile(preset).createServ(grafserv);
const server = createServer();
server.on("error", (error) => { console.error(error); process.exit(1); });
await instance.addTo(server);
server.listen(Number(port), "127.0.0.1");
