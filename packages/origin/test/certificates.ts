/**
 * Certificates for the tests, made by the `openssl` command in a directory of their own under the
 * system's temporary one. `hasOpenssl` says whether there is such a command.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

/** A certificate and its key, as PEM. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

export interface Extras {
  /** Days from now to the end; negative: it is over. Default 2. */
  readonly days?: number;
  /** Further lines of extensions. */
  readonly extensions?: readonly string[];
  /** Who signs; default the authority itself. */
  readonly by?: string;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

export class TestAuthority implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "shoal-tls-"));
  /** The authority's own certificate. */
  readonly cert: string;

  constructor() {
    this.#run("req", "-x509", ...KEY, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=CA");
    this.cert = this.#read("ca.crt");
  }

  /** `subject`: the alternative names. `name` names the files. */
  issue(name: string, subject: string, extras: Extras = {}): Identity {
    const { days = 2, extensions = [], by = "ca" } = extras;
    const files = ["-keyout", `${name}.key`, "-out", `${name}.csr`];
    this.#run("req", ...KEY, ...files, "-subj", `/CN=${name}`);
    const lines = [`subjectAltName=${subject}`, ...extensions, ""];
    writeFileSync(join(this.#directory, `${name}.ext`), lines.join("\n"));
    const signing = ["-CA", `${by}.crt`, "-CAkey", `${by}.key`, "-CAcreateserial"];
    const out = ["-days", String(days), "-extfile", `${name}.ext`, "-out", `${name}.crt`];
    this.#run("x509", "-req", "-in", `${name}.csr`, ...signing, ...out);
    return { key: this.#read(`${name}.key`), cert: this.#read(`${name}.crt`) };
  }

  /** The PKCS #12 of an identity issued before, with the authority in it, in base64. */
  pkcs12(name: string, password = ""): string {
    const what = ["-inkey", `${name}.key`, "-in", `${name}.crt`, "-certfile", "ca.crt"];
    const how = ["-passout", `pass:${password}`, "-out", `${name}.p12`];
    this.#run("pkcs12", "-export", ...what, ...how);
    return readFileSync(join(this.#directory, `${name}.p12`)).toString("base64");
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }

  #read(file: string): string {
    return readFileSync(join(this.#directory, file), "utf8");
  }

  #run(...args: string[]): void {
    const { status, stderr } = spawnSync("openssl", args, { cwd: this.#directory });
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr.toString()}`);
  }
}
