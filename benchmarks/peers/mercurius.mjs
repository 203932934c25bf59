// mercurius with its JIT on the service's own tables, without tokens: node mercurius.mjs FOLDER PORT DATABASE_URL
import { createRequire } from "node:module";

const [folder, port, connectionString] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const Fastify = require("fastify");
const mercurius = require("mercurius");
const pg = require("pg");

const pool = new pg.Pool({ connectionString, max: 10 });
const task = `id, name, status, source, email_count, created_at, updated_at, finished_at, total_count, processing_count,
  completed_count, failed_count, exists_count, not_exists_count, catchall_count, invalid_syntax_count, unknown_count,
  role_based_count, disposable_count, last_verification_requested_at, last_verification_completed_at`;
pg.types.setTypeParser(20, Number); // bigint

const schema = `
  type JobStatus { pending: Int! processing: Int! completed: Int! failed: Int! }
  type VerificationStatus {
    exists: Int! notExists: Int! catchall: Int! invalidSyntax: Int! unknown: Int! roleBased: Int!
    disposableDomainEmails: Int!
  }
  type Metrics {
    totalEmailAddresses: Int! jobStatus: JobStatus! progress: Float! progressPercent: Int!
    verificationStatus: VerificationStatus! lastVerificationRequestedAt: String lastVerificationCompletedAt: String
  }
  type Task {
    id: ID! name: String! status: String! source: String! emailCount: Int! createdAt: String! updatedAt: String!
    finishedAt: String metrics: Metrics!
  }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type Tasks { nodes: [Task!]! pageInfo: PageInfo! }
  type Profile { displayName: String version: Int! updatedAt: String! }
  type Use { requestCount: Int! verificationCount: Int! creditsSpent: Int! }
  type UseOfDay { date: String! requestCount: Int! verificationCount: Int! creditsSpent: Int! }
  type Usage { total: Use! points: [UseOfDay!]! }
  type TaskCount { status: String! count: Int! }
  type Overview {
    profile: Profile! credits: Credits! usage: Usage! taskCounts: [TaskCount!]! metrics: Metrics!
    recentTasks(first: Int!): [Task!]!
  }
  type Credits { balance: Int! reserved: Int! available: Int! updatedAt: String! }
  type Query {
    overview(u: ID!): Overview
    tasks(u: ID!, first: Int!): Tasks
    task(id: ID!): Task
  }`;

const time = (value) => value && value.toISOString();
const metrics = (row) => {
  const done = row.completed_count + row.failed_count;
  return {
    totalEmailAddresses: row.total_count,
    jobStatus: {
      pending: row.total_count - row.processing_count - done, processing: row.processing_count,
      completed: row.completed_count, failed: row.failed_count,
    },
    progress: row.total_count ? done / row.total_count : 1,
    progressPercent: row.total_count ? Math.floor((done * 100) / row.total_count) : 100,
    verificationStatus: {
      exists: row.exists_count, notExists: row.not_exists_count, catchall: row.catchall_count,
      invalidSyntax: row.invalid_syntax_count, unknown: row.unknown_count, roleBased: row.role_based_count,
      disposableDomainEmails: row.disposable_count,
    },
    lastVerificationRequestedAt: time(row.last_verification_requested_at),
    lastVerificationCompletedAt: time(row.last_verification_completed_at),
  };
};
const picture = (row) => ({
  id: row.id, name: row.name, status: row.status, source: row.source, emailCount: row.email_count,
  createdAt: time(row.created_at), updatedAt: time(row.updated_at), finishedAt: time(row.finished_at),
  metrics: metrics(row),
});
const rows = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const statuses = ["DRAFT", "QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELED"];
const summed = ["total_count", "processing_count", "completed_count", "failed_count", "exists_count",
  "not_exists_count", "catchall_count", "invalid_syntax_count", "unknown_count", "role_based_count",
  "disposable_count"];
const latest = ["last_verification_requested_at", "last_verification_completed_at"];
const counts = [...summed, ...latest].join(", ");
const addedUp = `SELECT status, sum(n)::bigint AS n, ${summed.map((n) => `sum(${n})::bigint AS ${n}`).join(", ")},
    ${latest.map((n) => `max(${n}) AS ${n}`).join(", ")}
  FROM (
    SELECT status, task_count AS n, ${counts} FROM account_day
    WHERE account_id = $1 AND date BETWEEN $2::date AND $3::date
    UNION ALL SELECT status, 1, ${counts} FROM task
    WHERE account_id = $1 AND created_at >= $2::date AND created_at < $3::date + 1
    AND status IN ('DRAFT', 'QUEUED', 'RUNNING')
  ) AS found GROUP BY status`;
const use = `SELECT to_char(day, 'YYYY-MM-DD') AS date, sum(request_count)::bigint AS "requestCount",
    sum(verification_count)::bigint AS "verificationCount", sum(credits_spent)::bigint AS "creditsSpent"
  FROM usage_day WHERE account_id = $1 AND day BETWEEN $2::date AND $3::date GROUP BY day`;

const resolvers = {
  Overview: {
    profile: async ({ u }) => {
      const [row] = await rows("profile", "SELECT * FROM profile WHERE account_id = $1", [u]);
      return { displayName: row.display_name, version: row.version, updatedAt: time(row.updated_at) };
    },
    credits: async ({ u }) => {
      const [row] = await rows("credits", "SELECT * FROM credit_account WHERE account_id = $1", [u]);
      return { balance: row.balance, reserved: row.held, available: row.balance - row.held,
               updatedAt: time(row.updated_at) };
    },
    usage: async ({ u, first, from, to }) => {
      const found = new Map((await rows("use", use, [u, from, to])).map((row) => [row.date, row]));
      const total = { requestCount: 0, verificationCount: 0, creditsSpent: 0 };
      const points = [];
      for (let n = 0; n < 30; n++) {
        const date = new Date(first.getTime() + n * 86_400_000).toISOString().slice(0, 10);
        const point = found.get(date) ?? { date, requestCount: 0, verificationCount: 0, creditsSpent: 0 };
        for (const name in total) total[name] += point[name];
        points.push(point);
      }
      return { total, points };
    },
    recentTasks: async ({ u }, { first }) => {
      const text = `SELECT ${task} FROM task WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`;
      return (await rows("recent", text, [u, Math.min(first, 20)])).map(picture);
    },
  },
  Query: {
    overview: async (_, { u }) => {
      const last = new Date();
      const first = new Date(last - 29 * 86_400_000);
      const [from, to] = [first, last].map((day) => day.toISOString().slice(0, 10));
      const found = await rows("added_up", addedUp, [u, from, to]);
      const counted = Object.fromEntries(found.map((row) => [row.status, row.n]));
      const sums = Object.fromEntries(summed.map((name) => [name, found.reduce((sum, row) => sum + row[name], 0)]));
      for (const name of latest) sums[name] = found.map((row) => row[name]).sort((a, b) => b - a)[0] ?? null;
      return {
        u, first, from, to, metrics: metrics(sums),
        taskCounts: statuses.map((status) => ({ status, count: counted[status] ?? 0 })),
      };
    },
    tasks: async (_, { u, first }) => {
      const size = Math.min(first, 100);
      const text = `SELECT ${task} FROM task WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`;
      const found = await rows("tasks", text, [u, size + 1]);
      const nodes = found.slice(0, size).map(picture);
      return { nodes, pageInfo: { hasNextPage: found.length > size, endCursor: nodes.at(-1)?.id } };
    },
    task: async (_, { id }) => {
      const [row] = await rows("task", `SELECT ${task} FROM task WHERE id = $1`, [id]);
      return row && picture(row);
    },
  },
};

const app = Fastify();
app.register(mercurius, { schema, resolvers, jit: 1 });
await app.listen({ port: Number(port), host: "127.0.0.1" });
