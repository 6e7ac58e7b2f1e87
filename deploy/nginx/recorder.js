// Records each call with its answer, as a line of JSON that `python -m gateway shadow` reads. For njs 0.7.9 and later.

const MAX_BYTES = 1024 * 1024;
const REQUEST_HEADERS = ['Accept-Language', 'Authorization', 'Content-Encoding', 'Content-Type', 'Cookie'];
const ANSWER_HEADERS = ['Authorization', 'Content-Type'];

// Called for each part of an answer. In hex, because a part may end within a character.
function collect(r, data, flags) {
    if (r.variables.answer_hex.length <= 2 * MAX_BYTES) {
        r.variables.answer_hex += data.toString('hex');
    }
    r.sendBuffer(data, flags);
}

// The line of a call that has ended; empty for an answer that is too long, which is not recorded.
function line(r) {
    const hex = r.variables.answer_hex;
    if (hex.length > 2 * MAX_BYTES) {
        return '';
    }
    const answer = { status: r.status, headers: some(r.headersOut, ANSWER_HEADERS), body_base64: base64(hex) };
    const cookies = r.headersOut['Set-Cookie'];
    if (cookies && cookies.length) {
        answer.headers['Set-Cookie'] = cookies.filter((each) => each.startsWith('session='))[0] || cookies[0];
    }
    return JSON.stringify({
        time: Number(r.variables.msec),
        address: r.remoteAddress,
        method: r.method,
        path: r.variables.request_uri,
        headers: some(r.headersIn, REQUEST_HEADERS),
        body_base64: r.requestText ? r.requestBuffer.toString('base64') : '', // an empty buffer cannot be read
        response: answer,
    });
}

function some(headers, names) {
    const found = {};
    names.forEach((name) => {
        if (headers[name] !== undefined) {
            found[name] = headers[name];
        }
    });
    return found;
}

function base64(hex) {
    return hex === '' ? '' : Buffer.from(hex, 'hex').toString('base64');
}

export default { collect, line };
