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
  type User { id: ID! email: String! role: String! isEmailConfirmed: Boolean! createdAt: String! }
  type Credits { balance: Int! reserved: Int! available: Int! updatedAt: String! }
  type Query {
    viewer(u: ID!): User
    credits(u: ID!): Credits
    tasks(u: ID!, first: Int!): Tasks
    task(id: ID!): Task
  }`;

const time = (value) => value && value.toISOString();
const picture = (row) => {
  const done = row.completed_count + row.failed_count;
  return {
    id: row.id, name: row.name, status: row.status, source: row.source, emailCount: row.email_count,
    createdAt: time(row.created_at), updatedAt: time(row.updated_at), finishedAt: time(row.finished_at),
    metrics: {
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
    },
  };
};
const rows = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const resolvers = {
  Query: {
    viewer: async (_, { u }) => {
      const [row] = await rows("viewer", "SELECT * FROM account WHERE id = $1", [u]);
      return { id: row.id, email: row.email, role: row.role, isEmailConfirmed: row.email_confirmed_at !== null,
               createdAt: time(row.created_at) };
    },
    credits: async (_, { u }) => {
      const [row] = await rows("credits", "SELECT * FROM credit_account WHERE account_id = $1", [u]);
      return { balance: row.balance, reserved: row.held, available: row.balance - row.held,
               updatedAt: time(row.updated_at) };
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
