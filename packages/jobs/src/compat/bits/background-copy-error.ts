/** Why a job failed: an error that was taken from one snapshot and does not change any more. */
import type { JobError } from "@shoal/core";
import { LEGACY_IIDS } from "../constants/bits.ts";
import type { BG_ERROR_CONTEXT } from "../constants/bits.ts";
import { COM_IIDS } from "../constants/guid.ts";
import { HResultError } from "../hresult-error.ts";
import type { IBackgroundCopyError, IBackgroundCopyFile, InterfacesById } from "./interfaces.ts";
import { viewOf } from "./query-interface.ts";
import { contextOf, hresultOf } from "./shown-values.ts";

/** Made by `BackgroundCopyJob`. */
export class BackgroundCopyError implements IBackgroundCopyError {
  readonly #error: JobError;
  readonly #file: IBackgroundCopyFile | undefined;

  constructor(error: JobError, file: IBackgroundCopyFile | undefined) {
    this.#error = error;
    this.#file = file;
  }

  async GetError(): Promise<{ readonly context: BG_ERROR_CONTEXT; readonly code: number }> {
    return { context: contextOf(this.#error), code: hresultOf(this.#error) };
  }

  async GetFile(): Promise<IBackgroundCopyFile> {
    if (this.#file === undefined) throw HResultError.of("DO_E_FILE_NOT_AVAILABLE");
    return this.#file;
  }

  queryInterface<Iid extends keyof InterfacesById>(iid: Iid): InterfacesById[Iid] {
    return viewOf({ [COM_IIDS.IUnknown]: this, [LEGACY_IIDS.IBackgroundCopyError]: this }, iid);
  }
}
