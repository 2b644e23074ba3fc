/** An enumeration of a job's files: a list that does not change, and a place in it. */
import { HRESULTS } from "@shoal/core";
import { LEGACY_IIDS } from "../constants/bits.ts";
import { COM_IIDS } from "../constants/guid.ts";
import type {
  IBackgroundCopyFile,
  IEnumBackgroundCopyFiles,
  InterfacesById,
} from "./interfaces.ts";
import { viewOf } from "./query-interface.ts";
import { readUlong } from "./read-arguments.ts";

/** Made by `BackgroundCopyJob`. */
export class EnumBackgroundCopyFiles implements IEnumBackgroundCopyFiles {
  readonly #files: readonly IBackgroundCopyFile[];
  #next = 0;

  constructor(files: readonly IBackgroundCopyFile[]) {
    this.#files = files;
  }

  async GetCount(): Promise<number> {
    return this.#files.length;
  }

  async Next(count: number): Promise<{ hr: number; items: readonly IBackgroundCopyFile[] }> {
    const wanted = readUlong(count, "the count");
    const items = this.#files.slice(this.#next, this.#next + wanted);
    this.#next += items.length;
    return { hr: items.length === wanted ? HRESULTS.S_OK : HRESULTS.S_FALSE, items };
  }

  async Skip(count: number): Promise<number> {
    const end = this.#next + readUlong(count, "the count");
    this.#next = Math.min(end, this.#files.length);
    return this.#next === end ? HRESULTS.S_OK : HRESULTS.S_FALSE;
  }

  async Reset(): Promise<void> {
    this.#next = 0;
  }

  queryInterface<Iid extends keyof InterfacesById>(iid: Iid): InterfacesById[Iid] {
    const views = { [COM_IIDS.IUnknown]: this, [LEGACY_IIDS.IEnumBackgroundCopyFiles]: this };
    return viewOf(views, iid);
  }
}
