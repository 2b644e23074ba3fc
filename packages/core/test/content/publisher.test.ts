/** Publishers as users name them. */
import { formatPublicKey, parsePublisher } from "@shoal/core";
import fc from "fast-check";
import { expect, test } from "vitest";

const keys = fc.uint8Array({ minLength: 32, maxLength: 32 });
const [A, B, C] = [1, 2, 3].map((fill) => formatPublicKey(new Uint8Array(32).fill(fill)));

test("gives back every public key", () => {
  fc.assert(
    fc.property(keys, (publicKey) => {
      const publisher = parsePublisher(formatPublicKey(publicKey));
      expect(publisher).toMatchObject({ keys: [{ publicKey }], signaturesMin: 1 });
    }),
  );
});

test("reads several keys, and how many of them must have signed", () => {
  expect(parsePublisher(`${A},${B}`)).toMatchObject({ keys: [{}, {}], signaturesMin: 1 });
  expect(parsePublisher(`2/${A},${B},${C}`)).toMatchObject({
    keys: [{}, {}, {}],
    signaturesMin: 2,
  });
});

test.each([
  ["nothing", ""],
  ["another kind of key", "rsa:AAAA"],
  ["a key that is cut", A!.slice(0, -1)],
  ["bits that stand for nothing", `${A!.slice(0, -1)}B`],
  ["a space", `${A} `],
  ["an empty place in the list", `${A},`],
  ["a key twice (R-MAN-05)", `${A},${A}`],
  ["more signatures than keys", `2/${A}`],
  ["no signature", `0/${A}`],
  ["two counts", `1/1/${A}`],
])("refuses %s", (_, text) => {
  expect(parsePublisher(text)).toBeUndefined();
});

test("answers any text without throwing, and refuses more than 16 keys", () => {
  fc.assert(fc.property(fc.string(), (text) => parsePublisher(text) === undefined));
  const many = Array.from({ length: 17 }, (_, i) => formatPublicKey(new Uint8Array(32).fill(i)));
  expect(parsePublisher(many.slice(1).join(","))?.keys).toHaveLength(16);
  expect(parsePublisher(many.join(","))).toBeUndefined();
});
