// The session. Tokens are kept in memory only: they are gone when the page is closed or reloaded.

import { busyWith, byId, call, finish, setStatus, words } from "./form.js";

let tokens = null;

export async function openSession(newTokens) {
  tokens = newTokens;
  const me = await call("GET", "/v2/me", undefined, tokens.access_token);
  byId("nickname").textContent = me.body.nickname ?? "";
  byId("number").textContent = me.body.phone ?? "";
  finish();
}

async function authorised(method, path) {
  const response = await call(method, path, undefined, tokens.access_token);
  if (response.status !== 401) return response;
  const fresh = await call("POST", "/v2/sessions/refresh", { refresh_token: tokens.refresh_token });
  if (!fresh.ok) return fresh;
  tokens = fresh.body;
  return call(method, path, undefined, tokens.access_token);
}

async function logOut() {
  const listed = await authorised("GET", "/v2/sessions");
  const mine = listed.body.sessions?.find((session) => session.current);
  const ended = mine ? await authorised("DELETE", `/v2/sessions/${mine.id}`) : listed;
  if (!ended.ok && ended.status !== 401) return setStatus(ended.body.detail, true, byId("out-status"));
  tokens = null;
  byId("done").hidden = true;
  byId("ask").hidden = false;
  setStatus(words.logged_out);
  byId("phone").focus();
}

byId("log-out").addEventListener("click", busyWith(byId("log-out"), logOut));
