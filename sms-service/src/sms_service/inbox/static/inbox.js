// Keeps the inbox up to date: waits for a change, loads the page again, and replaces the rows that differ.

const main = document.getElementById("inbox");
const words = JSON.parse(main.dataset.words);
const language = document.documentElement.lang;
const search = document.getElementById("q");
const link = document.getElementById("link");
const sure = document.getElementById("sure");
const title = document.title;
const byId = (id) => document.getElementById(id);
const rows = () => [...byId("messages").children];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
let unseen = 0;
let requests = 0;

async function load() {
  const request = ++requests;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (request !== requests) return; // a later request is under way
  main.dataset.count = page.getElementById("inbox").dataset.count;
  for (const id of ["shown", "nothing"]) byId(id).replaceChildren(...page.getElementById(id).childNodes);
  take([...page.getElementById("messages").children]);
  main.dataset.state = page.getElementById("inbox").dataset.state;
  refresh();
}

// Rows that stay are not touched, so they keep the focus and the selection.
function take(fresh) {
  const list = byId("messages");
  const wanted = new Set(fresh.map((row) => row.id));
  const newest = rows()[0]?.id ?? "";
  for (const row of rows()) if (!wanted.has(row.id)) row.remove();
  fresh.forEach((row, index) => {
    if (list.children[index]?.id === row.id) return;
    if (row.id > newest) row.classList.add("fresh");
    list.insertBefore(row, list.children[index] ?? null);
  });
  announce(fresh.filter((row) => row.id > newest));
}

function announce(arrived) {
  if (arrived.length === 0 || !link.dataset.known) return;
  byId("news").textContent = `${words.arrived}: ${arrived[0].querySelector(".to").textContent}`;
  if (document.hidden) unseen += arrived.length;
}

function refresh() {
  const now = Date.now();
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const seconds = Math.max(0, (now - at) / 1000);
    const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"]].find(([size]) => seconds >= size) ?? [];
    time.textContent = unit ? relative.format(-Math.floor(seconds / size), unit) : words.now;
    time.title = at.toLocaleString(language, { dateStyle: "medium", timeStyle: "medium" });
  }
  byId("delete").hidden = main.dataset.count === "0";
  document.title = unseen ? `(${unseen}) ${title}` : title;
}

function connected(yes) {
  link.hidden = false;
  link.dataset.known = "yes";
  link.classList.toggle("offline", !yes);
  const text = yes ? link.dataset.live : link.dataset.offline;
  if (link.textContent !== text) link.textContent = text;
}

async function follow() {
  for (let failures = 0; ; ) {
    try {
      const known = encodeURIComponent(main.dataset.state);
      const wait = failures || !link.dataset.known ? 0 : 25;
      const answer = await fetch(`/inbox/state?known=${known}&wait=${wait}`, { signal: AbortSignal.timeout(40_000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      if ((await answer.json()).state !== main.dataset.state) await load();
      failures = 0;
      connected(true);
      await pause(150); // several changes become one load
    } catch {
      connected(false);
      await pause(Math.min(5000, 500 * 2 ** failures++));
    }
  }
}

async function copy(button) {
  const code = button.dataset.code;
  let done = true;
  try {
    await navigator.clipboard.writeText(code);
  } catch { // the clipboard exists only on https and localhost
    getSelection().selectAllChildren(button.querySelector(".digits"));
    done = document.execCommand("copy");
  }
  byId("news").textContent = done ? `${words.copied}: ${code}` : words.not_copied;
  button.classList.toggle("copied", done);
  button.title = done ? words.copied : words.not_copied;
  setTimeout(() => { button.classList.remove("copied"); button.title = words.copy; }, 1500);
}

function move(step) {
  const all = rows();
  const present = all.indexOf(document.activeElement?.closest("li"));
  all[Math.min(all.length - 1, Math.max(0, present < 0 ? 0 : present + step))]?.focus();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || sure.open) return;
  if (event.target.matches("input")) {
    if (event.key === "Escape" || event.key === "ArrowDown") { search.blur(); move(0); event.preventDefault(); }
    return;
  }
  const row = document.activeElement?.closest("li") ?? rows()[0];
  const actions = {
    "/": () => search.select(),
    j: () => move(1), ArrowDown: () => move(1),
    k: () => move(-1), ArrowUp: () => move(-1),
    c: () => { const code = row?.querySelector(".code"); if (code) copy(code); },
  };
  if (!actions[event.key]) return;
  actions[event.key]();
  event.preventDefault();
}

let typing;
function typed() {
  clearTimeout(typing);
  typing = setTimeout(() => {
    const address = new URL(location.href);
    if (search.value.trim()) address.searchParams.set("q", search.value); else address.searchParams.delete("q");
    history.replaceState(null, "", address);
    load().catch(() => connected(false));
  }, 150);
}

async function remove() {
  try {
    const answer = await fetch("/inbox/messages", { method: "DELETE" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    sure.close();
    await load();
  } catch {
    byId("sure-failed").textContent = words.delete_failed;
  }
}

byId("delete").addEventListener("click", () => {
  const count = main.dataset.count;
  byId("sure-failed").textContent = "";
  byId("sure-title").textContent = count === "1" ? words.delete_ask_one : words.delete_ask.replace("{count}", count);
  sure.showModal();
});
byId("sure-yes").addEventListener("click", remove);
byId("messages").addEventListener("click", (event) => {
  const button = event.target.closest(".code");
  if (button) copy(button);
});
search.addEventListener("input", typed);
search.form.addEventListener("submit", (event) => { event.preventDefault(); typed(); });
document.addEventListener("keydown", pressed);
document.addEventListener("visibilitychange", () => { if (!document.hidden) { unseen = 0; refresh(); } });
setInterval(refresh, 10_000);
refresh();
follow();
