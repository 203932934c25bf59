// The official JavaScript client through every flow of a person with a password.
//   node flows.mjs URL open         where sign-up gives a session at once
//   node flows.mjs URL confirming   where addresses are confirmed; asks for the token of a letter by printing "letter"
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { AuthClient } from "@supabase/auth-js";

const [url, mode] = process.argv.slice(2);
const PASSWORD = "correct horse battery";
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function client() {
  return new AuthClient({
    url,
    headers: { apikey: "publishable" },
    autoRefreshToken: false,
    persistSession: true,
    detectSessionInUrl: false,
    storage: memory(),
  });
}

function memory() {
  const kept = new Map();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  };
}

const address = () => `${randomUUID()}@example.com`;

async function good(answer) {
  const { data, error } = await answer;
  assert.equal(error, null, error?.message);
  return data;
}

async function refused(answer, code) {
  const { error } = await answer;
  assert.equal(error?.code, code, `${error?.name}: ${error?.message}`);
  return error;
}

async function letter() {
  console.log("letter");
  return (await lines.next()).value;
}

async function signedUp(auth, email = address()) {
  const { session, user } = await good(
    auth.signUp({ email, password: PASSWORD, options: { data: { name: "Ann" } } }),
  );
  assert.equal(user.email, email);
  assert.deepEqual(user.user_metadata, { name: "Ann" });
  return { email, session };
}

const open = {
  async "a person signs up, out and in"() {
    const auth = client();
    const { email, session } = await signedUp(auth);
    assert.equal((await good(auth.getUser())).user.email, email);
    assert.equal((await auth.signOut()).error, null);
    assert.equal((await good(auth.getSession())).session, null);
    const late = await client().getUser(session.access_token);
    assert.equal(late.error.name, "AuthSessionMissingError");
    const again = await good(auth.signInWithPassword({ email, password: PASSWORD }));
    assert.equal(again.user.id, session.user.id);
    assert.deepEqual(again.user.identities.map((one) => one.provider), ["email"]);
  },
  async "claims are read with the published key"() {
    const auth = client();
    const { email, session } = await signedUp(auth);
    const { claims, header } = await good(auth.getClaims());
    assert.deepEqual([claims.sub, claims.email, claims.aud], [session.user.id, email, "authenticated"]);
    assert.equal(header.alg, "ES256");
  },
  async "a session is refreshed, handed over, and a replay ends it"() {
    const auth = client();
    const { session: first } = await signedUp(auth);
    const second = (await good(auth.refreshSession(first))).session;
    assert.notEqual(second.refresh_token, first.refresh_token);
    assert.equal((await good(client().refreshSession(first))).session.refresh_token, second.refresh_token);
    const other = client();
    await good(other.setSession(second));
    const third = (await good(other.refreshSession(second))).session;
    await refused(client().refreshSession(first), "refresh_token_already_used");
    await refused(client().refreshSession(third), "refresh_token_not_found");
  },
  async "data and password are changed"() {
    const auth = client();
    const { email } = await signedUp(auth);
    assert.deepEqual((await good(auth.updateUser({ data: { tz: "UTC" } }))).user.user_metadata, { name: "Ann", tz: "UTC" });
    await refused(auth.updateUser({ password: "another password" }), "validation_failed");
    await good(auth.updateUser({ password: "another password", current_password: PASSWORD }));
    await refused(client().signInWithPassword({ email, password: PASSWORD }), "invalid_credentials");
    await good(client().signInWithPassword({ email, password: "another password" }));
  },
  async "errors have the codes that the client knows"() {
    for (const [password, reason] of [["short", "length"], ["Password123", "pwned"]]) {
      const weak = await refused(client().signUp({ email: address(), password }), "weak_password");
      assert.equal(weak.name, "AuthWeakPasswordError");
      assert.deepEqual(weak.reasons, [reason]);
    }
    const { email } = await signedUp(client());
    await refused(client().signUp({ email, password: PASSWORD }), "user_already_exists");
    for (const [who, password] of [[email, "wrong password"], [address(), PASSWORD]]) {
      await refused(client().signInWithPassword({ email: who, password }), "invalid_credentials");
    }
    await refused(client().getUser("no token"), "bad_jwt");
    await refused(client().signInAnonymously(), "anonymous_provider_disabled");
  },
  async "asking for links tells nothing"() {
    const { email } = await signedUp(client());
    for (const who of [email, address()]) {
      await good(client().resetPasswordForEmail(who));
      await good(client().resend({ type: "signup", email: who }));
    }
    for (const type of ["recovery", "signup", "email"]) {
      await refused(client().verifyOtp({ type, token_hash: "x".repeat(43) }), "otp_expired");
    }
  },
  async "the other sessions are signed out by their scope"() {
    const [phone, desk] = [client(), client()];
    const { email } = await signedUp(phone);
    await good(desk.signInWithPassword({ email, password: PASSWORD }));
    assert.equal((await desk.signOut({ scope: "others" })).error, null);
    assert.equal((await phone.getUser()).error.name, "AuthSessionMissingError");
    await good(desk.getUser());
    assert.equal((await desk.signOut({ scope: "local" })).error, null);
  },
  async "who guesses is held back"() {
    const { email } = await signedUp(client());
    const codes = [];
    for (let number = 0; number < 8; number += 1) {
      codes.push((await client().signInWithPassword({ email, password: `guess ${number}` })).error.code);
    }
    assert.equal(codes[0], "invalid_credentials");
    assert.equal(codes.at(-1), "over_request_rate_limit");
  },
};

const confirming = {
  async "an address is confirmed by its link"() {
    const [auth, email] = [client(), address()];
    assert.equal((await good(auth.signUp({ email, password: PASSWORD }))).session, null);
    await refused(auth.signInWithPassword({ email, password: PASSWORD }), "email_not_confirmed");
    const { session, user } = await good(auth.verifyOtp({ type: "email", token_hash: await letter() }));
    assert.equal(user.email, email);
    assert.ok(user.email_confirmed_at);
    assert.ok(session.access_token);
    assert.equal((await good(client().signUp({ email, password: PASSWORD }))).session, null);
    await good(client().signInWithPassword({ email, password: PASSWORD }));
  },
  async "a password is reset by a link"() {
    const [auth, email] = [client(), address()];
    await good(auth.signUp({ email, password: PASSWORD }));
    await good(auth.verifyOtp({ type: "signup", token_hash: await letter() }));
    await good(client().resetPasswordForEmail(email));
    const other = client();
    await good(other.verifyOtp({ type: "recovery", token_hash: await letter() }));
    await good(other.updateUser({ password: "a newer password" }));
    await refused(client().signInWithPassword({ email, password: PASSWORD }), "invalid_credentials");
    await good(client().signInWithPassword({ email, password: "a newer password" }));
    assert.equal((await auth.getUser()).error.name, "AuthSessionMissingError");
  },
};

for (const [name, flow] of Object.entries(mode === "open" ? open : confirming)) {
  await flow();
  console.log(`ok ${name}`);
}
console.log("done");
process.exit(0);
