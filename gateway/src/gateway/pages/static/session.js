// The session. Tokens are kept in memory only: they are gone when the page is closed or reloaded.

import { ActionButton } from "./action-button.js";
import { v2 } from "./calls.js";
import { forget } from "./draft.js";
import { byId, finish, setStatus, words } from "./page.js";

let tokens = null;

export async function openSession(newTokens) {
  tokens = newTokens;
  const me = await v2("GET", "/v2/me", undefined, tokens.access_token);
  byId("nickname").textContent = me.body.nickname ?? "";
  byId("number").textContent = me.body.phone ?? "";
  forget();
  finish();
}

async function authorised(method, path) {
  const response = await v2(method, path, undefined, tokens.access_token);
  if (response.status !== 401) return response;
  const fresh = await v2("POST", "/v2/sessions/refresh", { refresh_token: tokens.refresh_token });
  if (!fresh.ok) return fresh;
  tokens = fresh.body;
  return v2(method, path, undefined, tokens.access_token);
}

async function logOut() {
  const listed = await authorised("GET", "/v2/sessions");
  const mine = listed.body.sessions?.find((session) => session.current);
  const ended = mine ? await authorised("DELETE", `/v2/sessions/${mine.id}`) : listed;
  if (!ended.ok && ended.status !== 401) return showFailure(ended.body.detail);
  tokens = null;
  byId("done").hidden = true;
  byId("ask").hidden = false;
  setStatus(words.logged_out);
  byId("phone").focus();
}

const showFailure = (text) => setStatus(text, true, byId("out-status"));
const button = new ActionButton(byId("log-out"), logOut, showFailure);
byId("log-out").addEventListener("click", () => button.press());
