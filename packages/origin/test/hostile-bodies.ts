/**
 * Heads and bodies that do not hold what HTTP promises, byte by byte, and what must come of them;
 * in the form of `hostile-rows.ts`.
 */
import {
  BODY,
  BROKEN,
  EARLY,
  FATAL,
  FINISHED,
  HEAD,
  LENGTH,
  OK,
  partial,
  RANGE,
  stream,
  under,
  WHOLE,
} from "./hostile-rows.ts";
import type { Row } from "./hostile-rows.ts";
import { CONTENT } from "./origin-harness.ts";

const CODING_ROWS = under("R-HTTP-06", [
  {
    says: "a gzip coding on a range",
    answers: [partial(`${RANGE}${LENGTH}content-encoding: gzip\r\n`)],
    outcome: BROKEN,
  },
  {
    says: "a gzip coding on the whole file",
    ask: stream,
    answers: [[`${OK}${WHOLE}content-encoding: gzip\r\n\r\n`, CONTENT]],
    outcome: FATAL,
  },
  {
    says: "a br coding in a probe",
    ask: "probe" as const,
    answers: [[`${OK}${WHOLE}content-encoding: br\r\n\r\n`]],
    outcome: BROKEN,
  },
  {
    says: "two codings, one of them identity",
    answers: [partial(`${RANGE}${LENGTH}content-encoding: identity, gzip\r\n`)],
    outcome: BROKEN,
  },
  {
    says: "a transfer coding beside chunked",
    answers: [[`${HEAD}${RANGE}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`]],
    outcome: BROKEN,
  },
  {
    says: "chunked said twice",
    answers: [
      [`${HEAD}${RANGE}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ],
    outcome: BROKEN,
  },
]).map((row) => ({ ...row, says: `${row.says} is refused` }));

/** Framings that do not hold; each with the pieces that were whole before it showed. */
const BODY_ROWS = under("R-HTTP-10", [
  {
    says: "a body shorter than Content-Length is tried again",
    answers: [partial(RANGE + LENGTH, BODY.subarray(0, 2_500))],
    close: true,
    outcome: EARLY,
    pieces: [2, 3],
  },
  {
    says: "a body shorter than its range without Content-Length is tried again",
    answers: [partial(RANGE, BODY.subarray(0, 2_500))],
    close: true,
    outcome: EARLY,
    pieces: [2, 3],
  },
  {
    says: "a body cut off within a chunk is tried again",
    answers: [
      [`${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\nbb8\r\n`, BODY.subarray(0, 1_500)],
    ],
    close: true,
    outcome: EARLY,
    pieces: [2],
  },
  {
    says: "chunks that end before the range does are tried again",
    answers: [
      [
        `${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\n3e8\r\n`,
        BODY.subarray(0, 1_000),
        "\r\n0\r\n\r\n",
      ],
    ],
    outcome: EARLY,
    pieces: [2],
  },
  {
    says: "chunks without their last one are tried again",
    answers: [
      [`${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\n3e8\r\n`, BODY.subarray(0, 1_000), "\r\n"],
    ],
    close: true,
    outcome: EARLY,
    pieces: [2],
  },
  {
    says: "a body without a length is accepted where it ends exactly",
    answers: [partial(RANGE)],
    close: true,
    outcome: FINISHED,
  },
  {
    says: "a body one byte too long without a length is refused",
    answers: [[`${HEAD}${RANGE}\r\n`, BODY, "x"]],
    close: true,
    outcome: BROKEN,
    pieces: [2, 3, 4],
  },
  {
    says: "chunks one byte too long are refused",
    answers: [[`${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\nbb9\r\n`, BODY, "x\r\n0\r\n\r\n"]],
    outcome: BROKEN,
    pieces: [2, 3, 4],
  },
  {
    says: "a chunked and a counted length at once are refused",
    answers: [partial(`${RANGE}${LENGTH}transfer-encoding: chunked\r\n`)],
    outcome: BROKEN,
  },
  ...[
    "-3000",
    "+3000",
    "3000.0",
    "0x0BB8",
    "3 000",
    "3000, 3000",
    "",
    "9007199254740993",
    "3e3",
  ].map((length) => ({
    says: `a Content-Length of "${length}" is refused`,
    answers: [partial(`${RANGE}content-length: ${length}\r\n`)],
    outcome: BROKEN,
  })),
  {
    says: "two equal Content-Lengths are refused",
    answers: [partial(RANGE + LENGTH + LENGTH)],
    outcome: BROKEN,
  },
  ...["zz", "-3e8", "+3e8", "0x3e8", "", " 3e8", "fffffffffffffffff", "3e8;a=\x01"].map((size) => ({
    says: `a chunk size of ${JSON.stringify(size)} is refused`,
    answers: [[`${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\n${size}\r\n`, BODY]],
    outcome: BROKEN,
  })),
  {
    says: "a chunk that does not end where it says is refused",
    answers: [
      [
        `${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\n3e8\r\n`,
        BODY.subarray(0, 1_000),
        "xx0\r\n\r\n",
      ],
    ],
    outcome: BROKEN,
    pieces: [2],
  },
  {
    says: "a chunk's extension without an end is refused",
    answers: [[`${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\n3e8;${"x".repeat(20_000)}`]],
    outcome: BROKEN,
  },
  {
    says: "trailers without an end are refused",
    answers: [
      [
        `${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\n3e8\r\n`,
        BODY.subarray(0, 1_000),
        `\r\n0\r\n${"x: y\r\n".repeat(4_000)}`,
      ],
    ],
    outcome: BROKEN,
    pieces: [2],
  },
]);

const HINT = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
const HEAD_ROWS = under("R-HTTP-07", [
  {
    says: "a field longer than the bound is refused",
    answers: [[`${HEAD}x: ${"y".repeat(17_000)}\r\n`]],
    outcome: BROKEN,
  },
  {
    says: "fields that never end are refused",
    answers: [[HEAD, "x: y\r\n".repeat(20_000)]],
    outcome: BROKEN,
  },
  {
    says: "more than 100 fields are refused",
    answers: [partial(RANGE + LENGTH + "x: y\r\n".repeat(99))],
    outcome: BROKEN,
  },
  {
    says: "100 fields are accepted",
    answers: [partial(RANGE + LENGTH + "x: y\r\n".repeat(98))],
    outcome: FINISHED,
  },
  {
    says: "20 informational responses are passed over",
    answers: [[HINT.repeat(20), ...partial(RANGE + LENGTH)]],
    outcome: FINISHED,
  },
  {
    says: "informational responses that never end are refused",
    answers: [[HINT.repeat(2_000)]],
    outcome: BROKEN,
  },
  {
    says: "101 without an upgrade asked for is refused",
    answers: [["HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"]],
    outcome: BROKEN,
  },
  {
    says: "a status line that never ends is refused",
    answers: [[`HTTP/1.1 206 ${"x".repeat(20_000)}`]],
    outcome: BROKEN,
  },
  {
    says: "a status beyond three digits is refused",
    answers: [["HTTP/1.1 2060 No\r\n\r\n"]],
    outcome: BROKEN,
  },
  {
    says: "a status of another class is refused",
    answers: [["HTTP/1.1 666 No\r\n\r\n"]],
    outcome: BROKEN,
  },
  { says: "another protocol is refused", answers: [["220 mail.test ESMTP\r\n"]], outcome: BROKEN },
  {
    says: "HTTP/2 is refused",
    answers: [[Buffer.from("000006040000000000000300000064", "hex")]],
    outcome: BROKEN,
  },
  {
    says: "a folded field is refused",
    answers: [partial(`${RANGE}${LENGTH}x: a\r\n b\r\n`)],
    outcome: BROKEN,
  },
  {
    says: "a NUL within a field is refused",
    answers: [partial(`${RANGE}${LENGTH}x: a\0b\r\n`)],
    outcome: BROKEN,
  },
  {
    says: "white space before a colon is refused",
    answers: [partial(`content-range : bytes 2000-4999/10000\r\n${LENGTH}`)],
    outcome: BROKEN,
  },
  {
    says: "a bare line feed is refused",
    answers: [[`${HEAD}${RANGE}x: y\n${LENGTH}\r\n`, BODY]],
    outcome: BROKEN,
  },
  {
    says: "a connection closed without an answer is tried again",
    answers: [[]],
    close: true,
    outcome: "transient ERR_ORIGIN_UNREACHABLE",
  },
  {
    says: "a connection closed within the head is tried again",
    answers: [[HEAD, RANGE]],
    close: true,
    outcome: "transient ERR_ORIGIN_UNREACHABLE",
  },
]);

/** Codings, heads and bodies (sections 7.1 and 7.2). */
export const FRAMING_ROWS: readonly Row[] = [...CODING_ROWS, ...BODY_ROWS, ...HEAD_ROWS];
