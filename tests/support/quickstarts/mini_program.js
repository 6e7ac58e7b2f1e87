// Runs the sample for mini programs in Node: a stand-in for wx, whose storage survives the process, and steps from stdin.
const fs = require("node:fs");
const readline = require("node:readline");

const STORAGE = "storage.json";
const read = () => (fs.existsSync(STORAGE) ? JSON.parse(fs.readFileSync(STORAGE, "utf8")) : {});
const write = (items) => fs.writeFileSync(STORAGE, JSON.stringify(items));

globalThis.wx = {
  request({ url, method, header, data, timeout, success, fail }) {
    const options = { method, headers: header, body: data && JSON.stringify(data), signal: AbortSignal.timeout(timeout) };
    fetch(url, options)
      .then(async (response) => [response.status, await response.text()])
      .then(([statusCode, text]) => success({ statusCode, data: parsed(text) }), (error) => fail({ errMsg: String(error) }));
  },
  async getStorage({ key, encrypt }) {
    const item = read()[key];
    if (!item || item.encrypt !== encrypt) throw new Error("getStorage:fail data not found");
    return { data: item.data };
  },
  setStorage: async ({ key, data, encrypt }) => write({ ...read(), [key]: { data, encrypt } }),
  getStorageInfoSync: () => ({ keys: Object.keys(read()) }),
  removeStorageSync: (key) => write(Object.fromEntries(Object.entries(read()).filter(([name]) => name !== key))),
  reLaunch: ({ url }) => (opened = url),
};

let page, opened = "";
globalThis.Page = (definition) => {
  page = { ...definition, setData: (data) => Object.assign(page.data, data) };
};

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const haoma = require("./haoma.js");
require("./pages/login/login.js");

STEPS.typeNumber = async (_, value) => {
  page.onPhone({ detail: { value } });
  await page.onSend();
  return { ...page.data };
};
STEPS.typeCode = async (_, value) => {
  page.onCode({ detail: { value } });
  await page.onEnter();
  return { ...page.data, opened };
};

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await drive(haoma, JSON.parse(line))));
  }
  process.exit(0); // a countdown may still run
})();
