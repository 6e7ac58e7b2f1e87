// Sends a share of all phone numbers to Haoma, and the others to the old back end. For njs 0.7.9 and later.
//
// $cutover_percent is the share, and $cutover_key a secret of your own: without it, no one can tell which numbers move.
// A number that has moved stays when the share grows. A call that has a session's token, or a phoneInfo, goes where
// that was issued: Haoma's have a form of their own.

import crypto from 'crypto';
import qs from 'querystring';

const HAOMA_TOKEN = /^[A-Za-z0-9_-]{43}$/;
const HAOMA_PHONE_INFO = /^[A-Za-z0-9_-]{60}$/;
const NATIVE = /^\/(v2\/|\.well-known\/)/;
const MAINLAND = /^861[3-9][0-9]{9}$/;

// js_content: it runs when the body has been read, and the chosen location gets it.
function route(r) {
    r.internalRedirect(hasMoved(r) ? '@haoma' : '@old');
}

function hasMoved(r) {
    if (NATIVE.test(r.uri)) {
        return true;
    }
    const fields = fieldsOf(r);
    const token = tokenOf(r) || fields.token;
    if (token) {
        return HAOMA_TOKEN.test(token);
    }
    if (fields.phoneInfo) {
        return HAOMA_PHONE_INFO.test(fields.phoneInfo);
    }
    const number = numberOf(fields);
    return number !== '' && shareOf(number, r.variables.cutover_key) < Number(r.variables.cutover_percent);
}

// From 0 to 100, the same for every spelling of a number.
function shareOf(number, key) {
    const digest = crypto.createHmac('sha256', key).update(number).digest('hex');
    return parseInt(digest.slice(0, 8), 16) / 0x100000000 * 100;
}

// Digits with the calling code, without a plus sign; empty without a number.
function numberOf(fields) {
    const tel = fields.tel || { dialCode: fields['tel[dialCode]'], number: fields['tel[number]'] };
    const text = halfWidth(String(first([fields.phone_number, fields.phone, tel.number])));
    const digits = digitsOf(text);
    if (digits === '' || /^\s*\+/.test(text) || MAINLAND.test(digits)) {
        return digits;
    }
    const code = digitsOf(first([fields.countryCode, tel.dialCode])).replace(/^0+/, '') || '86';
    return digits.startsWith('00') ? digits.slice(2) : code + digits.replace(/^0+/, '');
}

// Full-width digits and plus signs as ASCII.
function halfWidth(text) {
    return text.replace(/[\uff0b\uff10-\uff19]/g, (each) => String.fromCharCode(each.charCodeAt(0) - 0xfee0));
}

function digitsOf(text) {
    return String(text).replace(/[^0-9]/g, '');
}

function first(values) {
    const found = values.filter((value) => value !== undefined && value !== null);
    return found.length ? found[0] : '';
}

function tokenOf(r) {
    const bearer = /^Bearer +(\S+)$/i.exec(r.headersIn.Authorization || '');
    const cookie = /(?:^|;)\s*session="?([^;"]+)/.exec(r.headersIn.Cookie || '');
    return (bearer && bearer[1]) || (cookie && cookie[1]);
}

// The parameters of the query and of a body in JSON or a form.
function fieldsOf(r) {
    const body = r.requestText || '';
    const fields = qs.parse(r.variables.args || '');
    const parsed = (r.headersIn['Content-Type'] || '').startsWith('application/json') ? parse(body) : qs.parse(body);
    return Object.assign(fields, parsed);
}

function parse(body) {
    try {
        const fields = JSON.parse(body);
        return typeof fields === 'object' ? fields : {};
    } catch (error) {
        return {};
    }
}

export default { route };
