/**
 * The rows of the table of responses and the bad cases of connections, bodies and heads (threat
 * model, sections 7.1 and 7.2): what a server writes to a question, byte by byte, and what must come
 * of it. Those of heads and bodies are in `hostile-bodies.ts`; `hostile-table.test.ts` makes a test
 * of each.
 */
import { CONTENT, CONTENT_LENGTH, LAYOUT } from "./origin-harness.ts";
import type { Question } from "./origin-harness.ts";

export type Part = string | Buffer;

export interface Row {
  /** Rules it proves. */
  readonly rule: string;
  /** What the server does, as a sentence's end. */
  readonly says: string;
  /** Answers in order; the last one again and again. Written in pieces as they stand. */
  readonly answers: readonly (readonly Part[])[];
  /** Whether the server closes after each answer. */
  readonly close?: boolean;
  readonly ask?: "probe" | "manifest" | Partial<Extract<Question, { type: "fetchRange" }>>;
  /** The type of the last event, or kind and code of the failure, and the wait it asks for. */
  readonly outcome: string;
  /** Pieces delivered, right to the byte. Default: all where it finishes, else none. */
  readonly pieces?: readonly number[];
  /** Found in the last event. */
  readonly holding?: object;
}

export const HEAD = "HTTP/1.1 206 Partial Content\r\n";
export const RANGE = `content-range: bytes 2000-4999/${CONTENT_LENGTH}\r\n`;
export const LENGTH = "content-length: 3000\r\n";
export const BODY = CONTENT.subarray(2_000, 5_000);
export const OK = "HTTP/1.1 200 OK\r\n";
export const WHOLE = `content-length: ${CONTENT_LENGTH}\r\n`;
export const ETAG = 'etag: "v1"\r\n';

export const BROKEN = "rangeBroken ERR_ORIGIN_PROTOCOL";
export const FATAL = "fatal ERR_ORIGIN_PROTOCOL";
const CHANGED = "changed ERR_REMOTE_CHANGING";
export const EARLY = "transient ERR_ORIGIN_UNAVAILABLE";
const UNSUPPORTED = "rangeUnsupported ERR_ORIGIN_PROTOCOL";
export const FINISHED = "rangeFinished";

export const stream = { firstPiece: 0, pieceCount: LAYOUT.pieceCount, mode: "stream" } as const;
const known = { validator: { etag: '"v1"' } };
const dated = { validator: { lastModified: "Mon, 23 Nov 2026 10:00:00 GMT" } };

/** A whole answer to the range asked for, with `fields` in place of the usual ones. */
export const partial = (fields: string, body: Part = BODY): Part[] => [
  `${HEAD}${fields}\r\n`,
  body,
];
const status = (line: string, fields = ""): Part[] => [
  `HTTP/1.1 ${line}\r\ncontent-length: 0\r\n${fields}\r\n`,
];

/** Rows that prove one rule. */
export const under = (rule: string, rows: readonly Omit<Row, "rule">[]): Row[] =>
  rows.map((row) => ({ rule, ...row }));

const PARTIAL_ROWS = under("R-HTTP-12", [
  {
    says: "with the range asked for is accepted",
    answers: [partial(RANGE + LENGTH)],
    outcome: FINISHED,
  },
  {
    says: "with its beginning only is accepted, and the rest asked for",
    answers: [
      partial(
        `content-range: bytes 2000-2999/10000\r\ncontent-length: 1000\r\n`,
        BODY.subarray(0, 1_000),
      ),
      partial(
        `content-range: bytes 3000-4999/10000\r\ncontent-length: 2000\r\n`,
        BODY.subarray(1_000),
      ),
    ],
    outcome: FINISHED,
  },
  {
    says: "with an unknown total is accepted where the total is known",
    answers: [partial(`content-range: bytes 2000-4999/*\r\n${LENGTH}`)],
    outcome: FINISHED,
  },
  {
    says: "teaches a total that is unknown",
    ask: "probe",
    answers: [partial("content-range: bytes 0-0/777\r\ncontent-length: 1\r\n", "x")],
    outcome: "originProbed",
    holding: { length: 777, acceptsRanges: true },
  },
  {
    says: "with an unknown total is refused where none is known",
    ask: "probe",
    answers: [partial("content-range: bytes 0-0/*\r\ncontent-length: 1\r\n", "x")],
    outcome: BROKEN,
  },
  {
    says: "without a Range in the request is an error",
    ask: stream,
    answers: [partial("content-range: bytes 0-9999/10000\r\ncontent-length: 10000\r\n", CONTENT)],
    outcome: FATAL,
  },
  {
    says: "without a Range in the request for a manifest is an error",
    ask: "manifest",
    answers: [partial("content-range: bytes 0-4/5\r\ncontent-length: 5\r\n", "abcde")],
    outcome: FATAL,
  },
  {
    says: "with several parts is discarded",
    answers: [
      partial('content-type: multipart/byteranges; boundary="x"\r\ncontent-length: 3\r\n', "--x"),
    ],
    outcome: BROKEN,
  },
  {
    says: "with several parts beside a good Content-Range is discarded",
    answers: [partial(`${RANGE}${LENGTH}content-type: MULTIPART/byteranges\r\n`)],
    outcome: BROKEN,
  },
  {
    says: "whose Content-Length is shorter than its range is refused",
    answers: [partial(`${RANGE}content-length: 2999\r\n`)],
    outcome: BROKEN,
  },
  {
    says: "whose Content-Length is longer than its range is refused",
    answers: [partial(`${RANGE}content-length: 3001\r\n`)],
    outcome: BROKEN,
  },
  {
    says: "with another total under the same validator is refused",
    ask: known,
    answers: [partial(`content-range: bytes 2000-4999/10001\r\n${ETAG}${LENGTH}`)],
    outcome: BROKEN,
  },
]).map((row) => ({ ...row, says: `206 ${row.says}` }));

const WRONG_RANGES: Row[] = [
  ["from an earlier byte", "bytes 1999-4999/10000"],
  ["from a later byte", "bytes 2001-4999/10000"],
  ["to a later byte", "bytes 2000-5000/10000"],
  ["of the whole file", "bytes 0-9999/10000"],
  ["reversed", "bytes 4999-2000/10000"],
  ["beyond its total", "bytes 2000-4999/4999"],
  ["in another unit", "items 2000-4999/10000"],
  ["without a unit", "2000-4999/10000"],
  ["without a total", "bytes 2000-4999"],
  ["without an end", "bytes 2000-/10000"],
  ["of an unsatisfied range", "bytes */10000"],
  ["with signs", "bytes +2000-+4999/+10000"],
  ["with white space inside", "bytes 2000 - 4999 / 10000"],
  ["in hexadecimal", "bytes 0x7d0-0x1387/0x2710"],
  ["beyond 2^53", "bytes 2000-4999/9007199254740993"],
  ["with two ranges", "bytes 2000-2999,3000-4999/10000"],
  ["with an equals sign", "bytes=2000-4999/10000"],
  ["empty", ""],
].map(([says = "", value = ""]) => ({
  rule: "R-HTTP-10, R-HTTP-12",
  says: `206 with a Content-Range ${says} is discarded unread`,
  answers: [partial(`content-range: ${value}\r\n${LENGTH}`)],
  outcome: BROKEN,
}));

const MISSING_RANGES: Row[] = [
  ["no Content-Range", LENGTH],
  ["two Content-Ranges", RANGE + RANGE + LENGTH],
  ["two Content-Ranges that differ", `${RANGE}content-range: bytes 0-2999/10000\r\n${LENGTH}`],
].map(([says = "", fields = ""]) => ({
  rule: "R-HTTP-12",
  says: `206 with ${says} is discarded unread`,
  answers: [partial(fields)],
  outcome: BROKEN,
}));

const VALIDATOR_ROWS: Row[] = [
  { says: "206 with the same ETag is accepted", ask: known, fields: ETAG, outcome: FINISHED },
  { says: "206 with another ETag", ask: known, fields: 'etag: "v2"\r\n', outcome: CHANGED },
  {
    says: "206 with a weak ETag for a strong one",
    ask: known,
    fields: 'etag: W/"v1"\r\n',
    outcome: CHANGED,
  },
  { says: "206 without the ETag seen before", ask: known, fields: "", outcome: CHANGED },
  { says: "206 with two ETags", ask: known, fields: ETAG + ETAG, outcome: CHANGED },
  { says: "206 with an unquoted ETag", ask: known, fields: "etag: v1\r\n", outcome: CHANGED },
  {
    says: "206 with another Last-Modified where there is no ETag",
    ask: dated,
    fields: "last-modified: Mon, 23 Nov 2026 10:00:01 GMT\r\n",
    outcome: CHANGED,
  },
  { says: "206 without the Last-Modified seen before", ask: dated, fields: "", outcome: CHANGED },
].map(({ says, ask, fields, outcome }) => ({
  rule: "R-HTTP-11",
  says: outcome === CHANGED ? `${says} means another file` : says,
  ask,
  answers: [partial(RANGE + LENGTH + fields)],
  outcome,
}));

const CHANGE_ROWS = under("R-HTTP-11", [
  {
    says: "206 with another total and no validator means another file",
    answers: [partial(`content-range: bytes 2000-4999/10001\r\n${LENGTH}`)],
    outcome: CHANGED,
  },
  {
    says: "206 whose validator changes between two parts of a range means another file",
    answers: [
      partial(
        `content-range: bytes 2000-2999/10000\r\ncontent-length: 1000\r\n${ETAG}`,
        BODY.subarray(0, 1_000),
      ),
      partial(
        `content-range: bytes 3000-4999/10000\r\ncontent-length: 2000\r\netag: "v2"\r\n`,
        BODY.subarray(1_000),
      ),
    ],
    outcome: CHANGED,
    pieces: [2],
  },
  {
    says: "200 with another ETag means another file",
    ask: known,
    answers: [[`${OK}${WHOLE}etag: "v2"\r\n\r\n`, CONTENT]],
    outcome: CHANGED,
  },
  {
    says: "200 with another length means another file",
    answers: [[`${OK}content-length: 10001\r\n\r\n`, CONTENT, "x"]],
    outcome: CHANGED,
  },
  {
    says: "200 without the ETag seen before means another file, in a stream too",
    ask: { ...stream, ...known },
    answers: [[`${OK}${WHOLE}\r\n`, CONTENT]],
    outcome: CHANGED,
  },
  {
    says: "416 with another total means another file",
    answers: [status("416 No", "content-range: bytes */1999\r\n")],
    outcome: CHANGED,
  },
  {
    says: "416 without a total means another file",
    answers: [status("416 No")],
    outcome: CHANGED,
  },
]);

const WHOLE_ROWS = under("R-HTTP-12", [
  {
    says: "200 to a range says that there are no ranges",
    answers: [[`${OK}${WHOLE}\r\n`, CONTENT]],
    outcome: UNSUPPORTED,
  },
  {
    says: "200 to a stream starts at byte 0, whatever is wanted of it",
    ask: { mode: "stream" },
    answers: [[`${OK}${WHOLE}\r\n`, CONTENT]],
    outcome: FINISHED,
  },
  {
    says: "200 to a stream may be chunked and end exactly",
    ask: stream,
    answers: [[`${OK}transfer-encoding: chunked\r\n\r\n2710\r\n`, CONTENT, "\r\n0\r\n\r\n"]],
    outcome: FINISHED,
  },
  {
    says: "416 to a range inside the same file says that ranges are broken",
    answers: [status("416 No", "content-range: bytes */10000\r\n")],
    outcome: BROKEN,
  },
  {
    says: "416 to the first byte of an empty file is its length",
    ask: "probe",
    answers: [status("416 No", "content-range: bytes */0\r\n")],
    outcome: "originProbed",
    holding: { length: 0 },
  },
  {
    says: "416 to the first byte of another file is refused",
    ask: "probe",
    answers: [status("416 No", "content-range: bytes */5\r\n")],
    outcome: BROKEN,
  },
  {
    says: "200 without a length to a probe names what is missing",
    ask: "probe",
    answers: [[`${OK}\r\n`, "abc"]],
    outcome: "fatal ERR_ORIGIN_LENGTH_UNKNOWN",
  },
  {
    says: "eight answers in a row much too short say that ranges are broken",
    answers: Array.from({ length: 8 }, (_, i) =>
      partial(
        `content-range: bytes ${2_000 + i}-${2_000 + i}/10000\r\ncontent-length: 1\r\n`,
        BODY.subarray(i, i + 1),
      ),
    ),
    outcome: BROKEN,
  },
]);

const STATUS_ROWS: Row[] = [
  ...[304, 300, 305, 306, 399].map((code) => ({ code, outcome: BROKEN, ask: {} })),
  { code: 304, outcome: FATAL, ask: stream },
  ...[201, 202, 203, 204, 205, 207, 226].map((code) => ({ code, outcome: EARLY, ask: {} })),
  ...[408, 425, 429, 500, 501, 502, 503, 504, 507, 599].map((code) => ({
    code,
    outcome: EARLY,
    ask: {},
  })),
  ...[400, 401, 402, 403, 405, 407, 409, 412, 418, 451, 499].map((code) => ({
    code,
    outcome: "fatal ERR_ORIGIN_REFUSED",
    ask: {},
  })),
  ...[404, 410].map((code) => ({ code, outcome: "fatal ERR_ORIGIN_NOT_FOUND", ask: {} })),
].map(({ code, outcome, ask }) => ({
  rule: "section 7.2",
  says: `status ${code}${ask === stream ? " to a stream" : ""} is ${outcome.split(" ")[0]}`,
  ask,
  answers: [status(`${code} Whatever`)],
  outcome,
}));

const RETRY_ROWS: Row[] = [
  { says: "in seconds", field: "retry-after: 7\r\n", ms: 7_000 },
  { says: "of nothing", field: "retry-after: 0\r\n", ms: 0 },
  {
    says: "as a date, by the server's own clock",
    field: "date: Mon, 23 Nov 2026 10:00:00 GMT\r\nretry-after: Mon, 23 Nov 2026 10:02:00 GMT\r\n",
    ms: 120_000,
  },
  { says: "in the past", field: "retry-after: Mon, 23 Nov 1998 10:00:00 GMT\r\n", ms: 0 },
  { says: "of a year", field: "retry-after: 31536000\r\n", ms: 3_600_000 },
  { says: "beyond all numbers", field: `retry-after: ${"9".repeat(400)}\r\n`, ms: 3_600_000 },
  { says: "below zero", field: "retry-after: -5\r\n", ms: undefined },
  { says: "that is no number", field: "retry-after: soon\r\n", ms: undefined },
  { says: "given twice", field: "retry-after: 1\r\nretry-after: 2\r\n", ms: undefined },
].map(({ says, field, ms }) => ({
  rule: "R-HTTP-09",
  says: `Retry-After ${says} is ${ms === undefined ? "ignored" : `a wait of ${ms} ms`}`,
  answers: [status("503 Busy", field)],
  outcome: ms === undefined ? EARLY : `${EARLY} after ${ms} ms`,
}));
const moved = (location: string): Part[] => status("302 Found", location);
const REDIRECT_ROWS = under("R-HTTP-03", [
  {
    says: "a redirect to itself is refused",
    answers: [moved("location: /file.bin\r\n")],
    outcome: "fatal ERR_REDIRECT_REFUSED",
  },
  {
    says: "a redirect back and forth is refused",
    answers: [moved("location: /a\r\n"), moved("location: /file.bin\r\n")],
    outcome: "fatal ERR_REDIRECT_REFUSED",
  },
  {
    says: "a sixth redirect is refused",
    answers: [1, 2, 3, 4, 5, 6].map((i) => moved(`location: /${i}\r\n`)),
    outcome: "fatal ERR_REDIRECT_REFUSED",
  },
  {
    says: "five redirects are followed",
    answers: [...[1, 2, 3, 4, 5].map((i) => moved(`location: /${i}\r\n`)), partial(RANGE + LENGTH)],
    outcome: FINISHED,
  },
  {
    says: "a redirect without Location is refused",
    answers: [status("302 Found")],
    outcome: BROKEN,
  },
  {
    says: "a redirect with two Locations is refused",
    answers: [moved("location: /a\r\nlocation: /b\r\n")],
    outcome: BROKEN,
  },
  ...[
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "data:,x",
    "http://a:b@127.0.0.1/",
    "http://[",
    "//",
  ].map((to) => ({
    says: `a redirect to ${to} is refused`,
    answers: [moved(`location: ${to}\r\n`)],
    outcome: "fatal ERR_REDIRECT_REFUSED",
  })),
]);

/** What answers mean (section 7.2), and where they may lead. */
export const ANSWER_ROWS: readonly Row[] = [
  ...PARTIAL_ROWS,
  ...WRONG_RANGES,
  ...MISSING_RANGES,
  ...VALIDATOR_ROWS,
  ...CHANGE_ROWS,
  ...WHOLE_ROWS,
  ...STATUS_ROWS,
  ...RETRY_ROWS,
  ...REDIRECT_ROWS,
];
