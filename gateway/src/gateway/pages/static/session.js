// Who is logged in. Tokens live in this module's memory only: closing or reloading the page forgets them.

import { busyWith, byId, call, finish, say, words } from "./form.js";

let tokens = null;

export async function enter(granted) {
  tokens = granted;
  const me = await call("GET", "/v2/me", undefined, tokens.access_token);
  byId("nickname").textContent = me.body.nickname ?? "";
  byId("number").textContent = me.body.phone ?? "";
  finish();
}

async function authorised(method, path) {
  const answer = await call(method, path, undefined, tokens.access_token);
  if (answer.status !== 401) return answer;
  const fresh = await call("POST", "/v2/sessions/refresh", { refresh_token: tokens.refresh_token });
  if (!fresh.ok) return fresh;
  tokens = fresh.body;
  return call(method, path, undefined, tokens.access_token);
}

async function leave() {
  const listed = await authorised("GET", "/v2/sessions");
  const mine = listed.body.sessions?.find((session) => session.current);
  const left = mine ? await authorised("DELETE", `/v2/sessions/${mine.id}`) : listed;
  if (!left.ok && left.status !== 401) return say(left.body.detail, true, byId("out-status"));
  tokens = null;
  byId("done").hidden = true;
  byId("ask").hidden = false;
  say(words.logged_out);
  byId("phone").focus();
}

byId("log-out").addEventListener("click", busyWith(byId("log-out"), leave));
