import {
  errorInfo,
  ERRORS,
  hresultName,
  hresultOfErrno,
  hresultOfHttpStatus,
  HRESULTS,
  isFailure,
  isTransientHResult,
  ShoalError,
  toInt32,
} from "@shoal/core";
import type { ErrorCode, HResultSymbol } from "@shoal/core";
import { describe, expect, it } from "vitest";
import * as bits from "../../src/compat/constants/bits.ts";
import { DOWNLOAD_PROPERTIES } from "../../src/compat/constants/download-properties.ts";
import * as download from "../../src/compat/constants/download.ts";
import { COM_IIDS, GUID_NULL, isSameGuid, parseGuid } from "../../src/compat/constants/guid.ts";
import { HRESULT_MEANINGS } from "../../src/compat/constants/hresult-meanings.ts";
import { HResultError } from "../../src/compat/hresult-error.ts";
import * as printed from "./reference-values.ts";

const table: Readonly<Record<string, number>> = HRESULTS;
const symbols = Object.keys(HRESULTS) as HResultSymbol[];

/**
 * Rows of the product that the references do not print by name: what COM and Win32 call codes that
 * the product needs, and what the Windows headers call statuses and errors printed as numbers.
 */
const UNPRINTED: Readonly<Record<string, string>> = {
  E_NOINTERFACE: "0x80004002",
  ERROR_PATH_NOT_FOUND: "0x80070003",
  ERROR_FILE_EXISTS: "0x80070050",
  ERROR_DISK_FULL: "0x80070070",
  HTTP_E_STATUS_URI_TOO_LONG: "0x8019019E",
  HTTP_E_STATUS_RANGE_NOT_SATISFIABLE: "0x801901A0",
  HTTP_E_STATUS_SERVICE_UNAVAIL: "0x801901F7",
  HTTP_E_STATUS_GATEWAY_TIMEOUT: "0x801901F8",
  HTTP_E_STATUS_VERSION_NOT_SUP: "0x801901F9",
};

describe("the table of HRESULTs", () => {
  const codes = [...printed.PRINTED_CODES, ...printed.BITS_CODES, ...printed.SYSTEM_ERRORS];

  const named = codes.map(([symbol, text, decimal]) => ({ symbol, text, decimal }));

  it.each(named)("has $symbol as printed: $text", ({ symbol, text, decimal }) => {
    expect(table[symbol]).toBe(Number(text));
    expect(hresultName(Number(text))).toBe(symbol);
    if (decimal === undefined) return;
    expect(toInt32(Number(text))).toBe(decimal);
    expect(hresultName(decimal)).toBe(symbol);
  });

  it("has nothing that is neither printed nor listed here", () => {
    const expected = {
      ...Object.fromEntries(codes),
      ...UNPRINTED,
    };
    const actual = Object.fromEntries(symbols.map((symbol) => [symbol, HRESULTS[symbol]]));
    expect(actual).toEqual(
      Object.fromEntries(Object.entries(expected).map(([name, text]) => [name, Number(text)])),
    );
  });

  it("names each number once, and each is an unsigned 32-bit one", () => {
    expect(new Set(Object.values(HRESULTS)).size).toBe(symbols.length);
    for (const hresult of Object.values(HRESULTS)) expect(hresult).toBe(hresult >>> 0);
  });

  it.each(printed.HTTP_STATUSES)("has a name for the HTTP status %i", (status, text) => {
    expect(hresultOfHttpStatus(status)).toBe(Number(text));
    expect(hresultName(Number(text))).toMatch(/^HTTP_E_STATUS_/);
  });

  it.each(printed.WIN32_ERRORS)("has a name for the Win32 error %i", (error, text) => {
    expect(Number(text)).toBe(((HRESULTS.ERROR_FILE_NOT_FOUND & ~0xffff) | error) >>> 0);
    expect(hresultName(Number(text))).toMatch(/^E/);
  });

  it("turns statuses and errors without a name into numbers as well", () => {
    expect(hresultName(hresultOfHttpStatus(418))).toBeUndefined();
    expect(hresultOfHttpStatus(418)).toBe(0x801901a2);
    expect(hresultOfErrno(-5)).toBe(0xc0d00005);
  });

  it("makes system errors from Linux's numbers and from Node's negatives", () => {
    expect([2, 13, 17, 28].map(hresultOfErrno)).toEqual(
      printed.SYSTEM_ERRORS.map(([, text]) => Number(text)),
    );
    expect(hresultOfErrno(-2)).toBe(HRESULTS.ENOENT);
  });

  it("tells failures from successes, signed or not", () => {
    const successes = symbols.filter((symbol) => !isFailure(HRESULTS[symbol]));
    expect(new Set<string>(successes)).toEqual(
      new Set(["BG_S_PARTIAL_COMPLETE", "BG_S_UNABLE_TO_DELETE_FILES", "S_FALSE", "S_OK"]),
    );
    for (const symbol of symbols) {
      expect(isFailure(toInt32(HRESULTS[symbol]))).toBe(isFailure(HRESULTS[symbol]));
    }
  });

  it("knows the transient zone by number, and exactly its printed members by name", () => {
    const transient = symbols.filter((symbol) => isTransientHResult(HRESULTS[symbol]));
    expect(new Set<string>(transient)).toEqual(new Set(printed.TRANSIENT_SYMBOLS));
    const edges = [0x80d037ff, 0x80d03800, 0x80d03fff, 0x80d04000, 0xc0d03801, 0x00d03801];
    expect(edges.map(isTransientHResult)).toEqual([false, true, true, false, false, false]);
    expect(isTransientHResult(toInt32(0x80d03800))).toBe(true);
  });

  it("says something about each code", () => {
    for (const meaning of Object.values(HRESULT_MEANINGS)) expect(meaning).toMatch(/^[A-Z].*[^.]$/);
  });
});

describe("constants and enumerations", () => {
  const product: Readonly<Record<string, unknown>> = { ...bits, ...download };

  it.each(Object.entries(printed.ENUMERATIONS))("are as printed: %s", (name, members) => {
    expect(product[name]).toEqual(members);
  });

  it("are none but the printed ones", () => {
    const { BITS_COST_STATE, ...tables } = { ...product };
    const enumerations = Object.keys(tables).filter(
      (name) => typeof tables[name] === "object" && !/_(IIDS|KEYS)$/.test(name),
    );
    expect(enumerations.toSorted()).toEqual(Object.keys(printed.ENUMERATIONS).toSorted());
    expect(Object.values(BITS_COST_STATE as object)).toEqual(printed.COST_BITS);
    const scalars = Object.keys(product).filter((name) => typeof product[name] !== "object");
    expect(scalars.toSorted()).toEqual([
      "BG_LENGTH_TO_EOF",
      "BG_NOTIFY_DEFAULT",
      "BG_SIZE_UNKNOWN",
      "CLSID_DeliveryOptimization",
      "DO_LENGTH_TO_EOF",
      "DO_UNKNOWN_FILE_SIZE",
      "MAX_PATH",
    ]);
  });

  it("say end and unknown by the greatest unsigned 64-bit number", () => {
    const { BG_LENGTH_TO_EOF, BG_SIZE_UNKNOWN, DO_UNKNOWN_FILE_SIZE } = bits;
    const all = [BG_LENGTH_TO_EOF, BG_SIZE_UNKNOWN, DO_UNKNOWN_FILE_SIZE];
    for (const value of [...all, download.DO_LENGTH_TO_EOF]) expect(value).toBe(2n ** 64n - 1n);
    expect(bits.MAX_PATH).toBe(260);
    expect(bits.BG_NOTIFY_DEFAULT).toBe(0x0003);
  });

  it("allow in each transfer policy what its name says", () => {
    const { BITS_COST_STATE: cost, BITS_JOB_TRANSFER_POLICY: policy } = bits;
    expect(policy.BITS_JOB_TRANSFER_POLICY_ALWAYS & cost.BITS_COST_STATE_ROAMING).not.toBe(0);
    expect(policy.BITS_JOB_TRANSFER_POLICY_NOT_ROAMING & cost.BITS_COST_STATE_ROAMING).toBe(0);
    expect(policy.BITS_JOB_TRANSFER_POLICY_STANDARD & cost.BITS_COST_STATE_NEAR_CAP).toBe(0);
  });

  it("name the keys of JSON texts", () => {
    expect(download.DECRYPTION_INFO_KEYS).toEqual(printed.JSON_KEYS.DecryptionInfo);
    expect(download.INTEGRITY_CHECK_INFO_KEYS).toEqual(printed.JSON_KEYS.IntegrityCheckInfo);
  });
});

describe("GUIDs", () => {
  const { LEGACY_IIDS } = bits;
  const { CLSID_DeliveryOptimization, DOWNLOAD_IIDS } = download;

  it("are as printed, and no others but COM's own", () => {
    expect({ ...LEGACY_IIDS, ...DOWNLOAD_IIDS }).toEqual(printed.PRINTED_IIDS);
    expect(CLSID_DeliveryOptimization).toBe(printed.PRINTED_CLSID);
    expect(COM_IIDS).toEqual({
      IUnknown: "00000000-0000-0000-C000-000000000046",
      IEnumUnknown: "00000100-0000-0000-C000-000000000046",
    });
    expect(GUID_NULL.replaceAll(/[0-]/g, "")).toBe("");
  });

  it("are read in either case, with braces or without", () => {
    for (const guid of [...Object.values(printed.PRINTED_IIDS), GUID_NULL]) {
      expect(parseGuid(guid)).toBe(guid);
      expect(parseGuid(`{${guid.toLowerCase()}}`)).toBe(guid);
      expect(isSameGuid(guid.toLowerCase(), `{${guid}}`)).toBe(true);
    }
    expect(isSameGuid(LEGACY_IIDS.IBackgroundCopyJob, LEGACY_IIDS.IBackgroundCopyJob5)).toBe(false);
  });

  it.each([
    "",
    "{}",
    `{${GUID_NULL}`,
    `${GUID_NULL}}`,
    `{{${GUID_NULL}}}`,
    ` ${GUID_NULL}`,
    `${GUID_NULL}\n`,
    GUID_NULL.replace("0", "g"),
    GUID_NULL.replaceAll("-", ""),
    GUID_NULL.slice(1),
    "é".repeat(36),
    undefined,
    null,
    0,
    [GUID_NULL],
    { toString: () => GUID_NULL },
  ])("are not read from anything else: %j", (value) => {
    expect(parseGuid(value)).toBeUndefined();
    expect(isSameGuid(value, value)).toBe(false);
  });
});

describe("the properties of a download", () => {
  const ACCESS: Readonly<Record<string, string>> = {
    "R/W": "readWrite",
    RO: "readOnly",
    WO: "writeOnly",
  };
  /** Defaults other than "unset": the background's, then the foreground's if it differs. */
  const DEFAULTS: Readonly<Record<string, readonly [unknown, unknown?]>> = {
    "Standard (background) / Always (foreground)": [2, 0],
    "not documented; job API: 3600 foreground / 86400 background": [86_400, 3_600],
    "FALSE (background)": [false],
    "FALSE for DO downloads, TRUE for BITS-style jobs": [false],
    FALSE: [false],
    "0": [0],
    "1": [1],
  };

  it.each(printed.PRINTED_PROPERTIES)(
    "are as printed: %i %s %s %s %s",
    (id, name, type, access, value) => {
      const row = DOWNLOAD_PROPERTIES.get(id);
      expect(row?.name).toBe(name);
      const variant = type === "ARRAY of UI1" ? "VT_ARRAY|VT_UI1" : `VT_${type.split(" ")[0]}`;
      expect(row?.type).toBe(variant);
      expect(row?.access).toBe(ACCESS[access]);
      const [background, foreground] = DEFAULTS[value] ?? [];
      expect(row?.default).toBe(background);
      expect(row?.foregroundDefault).toBe(foreground);
    },
  );

  it("are the printed ones alone", () => {
    expect([...DOWNLOAD_PROPERTIES.keys()]).toEqual(printed.PRINTED_PROPERTIES.map(([id]) => id));
    expect(Object.keys(download.DODownloadProperty)).toHaveLength(DOWNLOAD_PROPERTIES.size);
  });

  it("may be set in the printed states, and read-only ones never", () => {
    const rules = new Map(
      printed.PRINTED_SETTABLE.flatMap(([names, states]) =>
        names.map((name) => [name, states.split(" ")] as const),
      ),
    );
    for (const { name, access, settableIn } of DOWNLOAD_PROPERTIES.values()) {
      const rule = rules.get(name.replace("DODownloadProperty_", "")) ?? rules.get("*") ?? [];
      const [created, transferring, transferred, paused, final] = rule;
      const byState = [created, transferring, transferred, final, final, paused];
      const expected = [0, 1, 2, 3, 4, 5].filter((state) => byState[state] === "yes");
      expect({ name, settableIn }).toEqual({
        name,
        settableIn: access === "readOnly" ? [] : expected,
      });
    }
    expect(DOWNLOAD_PROPERTIES.get(10)?.min).toBe(60);
  });
});

describe("an HResultError", () => {
  it("names symbol, number and meaning", () => {
    const error = HResultError.of("DO_E_JOB_EMPTY");
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toBe("DO_E_JOB_EMPTY (0x80D02004): The job has no files");
    expect(error).toMatchObject({ name: "HResultError", symbol: "DO_E_JOB_EMPTY" });
    expect(error.hresult).toBe(HRESULTS.DO_E_JOB_EMPTY);
    expect(error.code).toBeUndefined();
    expect(HResultError.of("E_INVALIDARG", "priority 7").message).toMatch(/: priority 7$/);
  });

  it("takes signed numbers, and numbers that have no name", () => {
    expect(new HResultError(-2133843964, "x").symbol).toBe("DO_E_JOB_EMPTY");
    const nameless = new HResultError(hresultOfHttpStatus(418), "teapot");
    expect(nameless.symbol).toBe("0x801901A2");
    expect(nameless.message).toBe("0x801901A2: teapot");
  });

  it("is never made from a success code", () => {
    expect(() => HResultError.of("S_FALSE")).toThrow("success code");
    expect(() => HResultError.of("BG_S_PARTIAL_COMPLETE")).toThrow("success code");
  });

  it.each(Object.keys(ERRORS) as ErrorCode[])("is made from %s by the table", (code) => {
    const cause = new ShoalError(code, "why");
    const error = HResultError.from(cause);
    expect(error.hresult).toBe(HRESULTS[ERRORS[code].hresult]);
    expect(error.symbol).toBe(ERRORS[code].hresult);
    expect(error).toMatchObject({ code, cause });
    expect(error.message).toContain(errorInfo(code, "why").message);
  });

  it("names the origin's status where the table leaves the choice to it", () => {
    const options = { originStatus: 403 };
    const refused = HResultError.from(new ShoalError("ERR_ORIGIN_REFUSED", "why", options));
    expect(refused.symbol).toBe("HTTP_E_STATUS_FORBIDDEN");
    const elsewhere = HResultError.from(new ShoalError("ERR_JOB_STATE", "why", options));
    expect(elsewhere.symbol).toBe(ERRORS.ERR_JOB_STATE.hresult);
  });

  it("passes through, and knows aborts from what nobody expected", () => {
    const error = HResultError.of("E_FAIL");
    expect(HResultError.from(error)).toBe(error);
    expect(HResultError.from(AbortSignal.abort().reason).symbol).toBe("E_ABORT");
    for (const cause of [new TypeError("x"), "text", undefined, null, { code: "ERR_USAGE" }]) {
      const unexpected = HResultError.from(cause);
      expect(unexpected.symbol).toBe("E_UNEXPECTED");
      expect(unexpected.cause).toBe(cause);
    }
  });
});
