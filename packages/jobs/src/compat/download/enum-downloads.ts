/** An enumerator over downloads that were found: IEnumUnknown's methods over a list. */
import { HRESULTS } from "@shoal/core";
import { HResultError } from "../hresult-error.ts";
import type { IDODownload, IEnumDownloads } from "./download-types.ts";

export class EnumDownloads implements IEnumDownloads {
  readonly #downloads: readonly IDODownload[];
  #next: number;

  constructor(downloads: readonly IDODownload[], next = 0) {
    this.#downloads = downloads;
    this.#next = next;
  }

  async Next(count: number): Promise<{ hresult: number; downloads: IDODownload[] }> {
    const from = this.#next;
    const hresult = await this.Skip(count);
    return { hresult, downloads: this.#downloads.slice(from, this.#next) };
  }

  async Skip(count: number): Promise<number> {
    if (!Number.isInteger(count) || count < 0) throw HResultError.of("E_INVALIDARG", "the count");
    const wanted = this.#next + count;
    this.#next = Math.min(wanted, this.#downloads.length);
    return this.#next === wanted ? HRESULTS.S_OK : HRESULTS.S_FALSE;
  }

  async Reset(): Promise<void> {
    this.#next = 0;
  }

  async Clone(): Promise<IEnumDownloads> {
    return new EnumDownloads(this.#downloads, this.#next);
  }

  [Symbol.iterator](): Iterator<IDODownload> {
    return this.#downloads[Symbol.iterator]();
  }
}
