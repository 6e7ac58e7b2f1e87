// Calls to our own server, in two contracts. A call without an answer of the contract throws a CallError.

import { words, language } from "./page.js";

const TIMEOUT = 15_000;

export class CallError extends Error {
  constructor(text, wait = 0) {
    super(text);
    this.wait = wait;
  }
}

async function call(method, path, fields, token) {
  const headers = { Accept: "application/json", "Accept-Language": language };
  if (fields) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method, headers, body: fields && JSON.stringify(fields), credentials: "omit" };
  const response = await fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT) }).catch(() => {
    throw new CallError(words.offline);
  });
  const wait = Number(response.headers.get("Retry-After")) || 0;
  const body = response.status === 204 ? {} : await response.json().catch(() => null);
  if (typeof body !== "object" || body === null) throw new CallError(words.unavailable, wait); // a proxy on the way
  return { ok: response.ok, status: response.status, wait, body };
}

// Call the contract register_page. All of its answers have an errorCode.
export async function registerPage(path, fields) {
  const response = await call("POST", path, fields);
  if (typeof response.body.errorCode !== "string") throw new CallError(words.unavailable, response.wait);
  return { ...response, ok: response.body.success === "true" };
}

// Call /v2. Its refusals have a code and a detail.
export async function v2(method, path, fields, token) {
  const response = await call(method, path, fields, token);
  const isOurs = response.ok || (typeof response.body.code === "string" && typeof response.body.detail === "string");
  if (!isOurs) throw new CallError(words.unavailable, response.wait);
  return response;
}
