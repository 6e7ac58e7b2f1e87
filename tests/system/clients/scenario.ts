// All that a user of `/v2` does, with types of openapi-typescript and the client openapi-fetch.
//
// Asks the test for codes, and to let time pass: a line on the output is a question, a line on the input its answer.
import createClient from "openapi-fetch";
import { createInterface } from "node:readline";
import type { components, paths } from "./native.js";

type Schemas = components["schemas"];
const { GATEWAY, NUMBER, MOVED } = process.env as Record<string, string>;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const clientOf = (token?: string) =>
  createClient<paths>({ baseUrl: GATEWAY, headers: token ? { Authorization: `Bearer ${token}` } : {} });
const anyone = clientOf();

async function answerTo(question: string): Promise<string> {
  console.log(question);
  return (await lines.next()).value;
}

function expect(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(`unexpected: ${JSON.stringify(what)}`);
}

/** The body of a successful response. */
function done<T>(reply: { data?: T; error?: unknown }): T {
  expect(reply.data !== undefined, reply.error);
  return reply.data;
}

/** The problem of a refused request: its `code` has the type of the codes that the call can refuse with. */
function refused<E>(reply: { error?: E }): E {
  expect(reply.error !== undefined, reply);
  return reply.error;
}

const send = (phone: string, purpose: Schemas["Purpose"], client = anyone) =>
  client.POST("/v2/verifications", { body: { phone, purpose } });

/** The ticket for the code of a new message. */
async function ticket(phone: string, purpose: Schemas["Purpose"], client = anyone): Promise<string> {
  await answerTo(`age ${phone}`);
  const { challenge } = done(await send(phone, purpose, client));
  const body = { challenge, code: await answerTo(`code ${phone}`) };
  return done(await anyone.POST("/v2/verifications/check", { body })).ticket;
}

// A code: a wrong one leaves four tries, the right one gives a ticket, and a second message has to wait.
const { challenge } = done(await send(NUMBER, "sign_up"));
const code = await answerTo(`code ${NUMBER}`);
const wrong = String((Number(code) + 1) % 1_000_000).padStart(6, "0");
const mistyped = refused(await anyone.POST("/v2/verifications/check", { body: { challenge, code: wrong } }));
expect(mistyped.code === "code_refused" && mistyped.tries_left === 4, mistyped);
const checked = await anyone.POST("/v2/verifications/check", { body: { phone: NUMBER, purpose: "sign_up", code } });
const early = refused(await send(NUMBER, "sign_up"));
expect(early.code === "cooldown" && early.retry_after! > 0, early);

// Registration, and the same number once more.
const body = { ticket: done(checked).ticket, password: "correct horse", nickname: "Anna" };
const { account } = done(await anyone.POST("/v2/accounts", { body }));
expect(account.phone === `+86${NUMBER}` && account.nickname === "Anna" && account.user_id > 2 ** 31, account);
await answerTo(`age ${NUMBER}`);
expect(refused(await send(NUMBER, "sign_up")).code === "number_taken", "number_taken");

// Log-in, with a wrong password, with the right one, and with a code.
const logIn = (password: string, phone = NUMBER) => anyone.POST("/v2/sessions", { body: { phone, password } });
expect(refused(await logIn("wrong horse")).code === "credentials_refused", "credentials_refused");
const first = done(await logIn("correct horse"));
const byCode = { ticket: await ticket(NUMBER, "sign_in"), client: "watch" };
done(await anyone.POST("/v2/sessions", { body: byCode }));
let tokens = done(await anyone.POST("/v2/sessions/refresh", { body: { refresh_token: first.refresh_token } }));
let me = clientOf(tokens.access_token);
const sessionsOf = async () => done(await me.GET("/v2/sessions")).sessions;
const others = (await sessionsOf()).filter((session) => !session.current).map((session) => session.client);
expect(others.join() === "watch,native", others);

// The account, with a change that is refused, and friends.
expect(done(await me.GET("/v2/me")).user_id === account.user_id, account);
expect(done(await me.PATCH("/v2/me", { body: { motto: "hello", gender: "female" } })).motto === "hello", "motto");
const bad = refused(await me.PATCH("/v2/me", { body: { nickname: "x".repeat(33) } }));
expect(bad.code === "parameter_invalid" && bad.field === "nickname", bad);
const { matches } = done(await me.POST("/v2/contacts/match", { body: { phones: ["no number", NUMBER] } }));
expect(matches.length === 0, matches);

// Passwords: the one who knows it keeps the session, the one with a ticket opens a new one.
const change = (password: string) => me.PUT("/v2/password", { body: { current: "correct horse", password } });
const short = refused(await change("short"));
expect(short.code === "password_length" && short.field === "password", short);
me = clientOf(done(await change("battery staple")).access_token);
expect((await sessionsOf()).length === 1, "other sessions have ended");
const reset = { ticket: await ticket(NUMBER, "reset_password"), password: "correct horse" };
tokens = done(await anyone.PUT("/v2/password", { body: reset }));
expect(refused(await me.GET("/v2/me")).code === "unauthenticated", "the session has ended");
me = clientOf(tokens.access_token);

// A new number, for which both have a code.
const old_ticket = await ticket(NUMBER, "change_phone", me);
const new_ticket = await ticket(MOVED, "change_phone", me);
const moved = done(await me.PUT("/v2/me/phone", { body: { old_ticket, new_ticket } }));
expect(moved.phone === `+86${MOVED}`, moved);

// A copy of the data: no session suffices for it.
const noProof = refused(await me.POST("/v2/me/export", { body: { password: "battery staple" } }));
expect(noProof.code === "credentials_refused", noProof);
const copied = done(await me.POST("/v2/me/export", { body: { password: "correct horse" } }));
expect(copied.activity[0]?.action === "register.succeeded", copied.activity);

// The end.
done(await logIn("correct horse", MOVED));
expect((await me.DELETE("/v2/sessions")).response.status === 204, "the others have ended");
expect((await sessionsOf()).length === 1, "one session is left");
const wrongProof = refused(await me.DELETE("/v2/me", { body: { password: "battery staple" } }));
expect(wrongProof.code === "credentials_refused", wrongProof);
const erasure = await me.DELETE("/v2/me", { body: { ticket: await ticket(MOVED, "erase", me) } });
expect(erasure.response.status === 204, "the account is erased");
expect(refused(await me.GET("/v2/me")).code === "unauthenticated", "the access token has ended");
const late = await anyone.POST("/v2/sessions/refresh", { body: { refresh_token: tokens.refresh_token } });
expect(refused(late).code === "unauthenticated", "the refresh token has ended");

// Mistakes that the compiler finds.
export const mistakes = () => [
  // @ts-expect-error a password without a number
  anyone.POST("/v2/sessions", { body: { password: "correct horse" } }),
  // @ts-expect-error a misspelt field
  anyone.POST("/v2/sessions", { body: { phone: NUMBER, passwrod: "correct horse" } }),
  // @ts-expect-error no such purpose
  anyone.POST("/v2/verifications", { body: { phone: NUMBER, purpose: "signup" } }),
  // @ts-expect-error a code that this call does not refuse with
  send(NUMBER, "sign_up").then((reply) => reply.error?.code === "contact_budget"),
];
console.log("the end");
process.exit();
