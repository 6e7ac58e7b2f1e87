// The steps of the scenario, for the two clients in JavaScript: haoma is the client that a page prints.
let sent, ahead = 0;
const now = Date.now;
Date.now = () => now() + ahead;

const STEPS = {
  async requestCode(haoma, phone) {
    sent = await haoma.requestCode(phone);
    return { purpose: sent.purpose, hasChallenge: sent.challenge !== undefined, resendAfter: sent.resendAfter };
  },
  enter: (haoma, code) => haoma.enter(sent, code),
  call: async (haoma) => (await haoma.call("GET", "/v2/me")).user_id,
  callAll: (haoma, times) => Promise.all(Array.from({ length: Number(times) }, () => STEPS.call(haoma))),
  expire: () => void (ahead += 15 * 60 * 1000),
  token: (haoma) => haoma.token(),
  loggedIn: (haoma) => (typeof haoma.loggedIn === "function" ? haoma.loggedIn() : haoma.loggedIn),
  logOut: (haoma) => haoma.logOut(),
};

async function drive(haoma, { step, argument }) {
  try {
    return { result: (await STEPS[step](haoma, argument)) ?? null };
  } catch (error) {
    if (error.code === undefined) throw error;
    return { refused: error.code, retryAfter: error.retryAfter };
  }
}
