/**
 * The nine operations of the DO-compatible API (agent REST reference, section 6): from a request to
 * the bytes of its response. The address of the caller is looked at before anything else.
 *
 * Knows operations and properties; downloads know what happens. Called by `RestConnection`.
 */
import { isIPv4 } from "node:net";
import { HRESULTS, ShoalError, toInt32 } from "@shoal/core";
import { HResultError } from "@shoal/jobs/compat";
import { apiCallOf, parameterCalled } from "./api-call.ts";
import type { ApiCall, Parameter } from "./api-call.ts";
import type { ConfigFiles } from "./config-files.ts";
import type { RestRequest } from "./request-parser.ts";
import { failureResponse, successResponse } from "./response.ts";
import type { ResponseFields } from "./response.ts";
import type { RestDownload } from "./rest-download.ts";
import type { RestDownloads } from "./rest-downloads.ts";

export interface RestApiDeps {
  readonly downloads: RestDownloads;
  readonly config: Pick<ConfigFiles, "validatesRemoteAddress">;
  /** A fault of ours. */
  readonly onFault: (error: unknown) => void;
}

type Property = Exclude<Parameter, "PropertyKey">;

/** Jobs that cannot be made because there are too many. */
const FULL: ReadonlySet<string> = new Set(["ERR_JOB_LIMIT", "ERR_JOB_LIMIT_OWNER"]);

export class RestApi {
  readonly #deps: RestApiDeps;

  constructor(deps: RestApiDeps) {
    this.#deps = deps;
  }

  async handle(request: RestRequest, remoteAddress: string): Promise<Buffer> {
    try {
      await this.#checkCaller(request, remoteAddress);
      return successResponse(await this.#perform(apiCallOf(request)));
    } catch (error) {
      return failureResponse(this.#hresultOf(error));
    }
  }

  /** A browser that somebody else's page has sent here is refused as a foreign address is. */
  async #checkCaller({ isFromBrowser }: RestRequest, remoteAddress: string): Promise<void> {
    const isLocal = isIPv4(remoteAddress) && remoteAddress.startsWith("127.");
    const mayCall = isLocal || !(await this.#deps.config.validatesRemoteAddress());
    if (!mayCall || isFromBrowser) throw HResultError.of("E_INVALIDARG", "the caller");
  }

  async #perform({ operation, parameters }: ApiCall): Promise<ResponseFields> {
    const { downloads } = this.#deps;
    const id = parameters.get("Id") ?? "";
    switch (operation) {
      case "create": {
        const uri = parameters.get("Uri") ?? "";
        return { Id: downloads.create(uri, parameters.get("DownloadFilePath") ?? "").id };
      }
      case "start":
        await downloads.get(id).start();
        return {};
      case "pause":
        await downloads.get(id).pause();
        return {};
      case "finalize":
        await downloads.finalize(id);
        return {};
      case "abort":
        await downloads.abort(id);
        return {};
      case "getstatus":
        return await statusOf(downloads.get(id));
      case "getproperty":
        return this.#getProperty(parameters);
      case "setproperty":
        await setProperties(downloads.get(id), parameters);
        return {};
      case "enumerate":
        throw HResultError.of("E_NOTIMPL");
    }
  }

  /** Under the name that was asked for, in the caller's spelling. */
  #getProperty(parameters: ApiCall["parameters"]): ResponseFields {
    const key = parameters.get("PropertyKey") ?? "";
    if (key === "") throw HResultError.of("E_INVALIDARG", "no property is named");
    const property = parameterCalled(key);
    if (property === undefined || property === "PropertyKey") {
      throw HResultError.of("DO_E_UNKNOWN_PROPERTY_ID");
    }
    const download = this.#deps.downloads.get(parameters.get("Id") ?? "");
    return { [key]: propertyOf(download, property) };
  }

  #hresultOf(error: unknown): number {
    if (error instanceof HResultError) return error.hresult;
    if (error instanceof ShoalError) {
      return FULL.has(error.code) ? HRESULTS.E_OUTOFMEMORY : HResultError.from(error).hresult;
    }
    this.#deps.onFault(error);
    return HRESULTS.ERROR_UNHANDLED_EXCEPTION;
  }
}

async function statusOf(download: RestDownload): Promise<ResponseFields> {
  const { state, bytesTotal, bytesTransferred, error, extendedError } = await download.status();
  return {
    Status: state,
    BytesTotal: String(bytesTotal),
    BytesTransferred: String(bytesTransferred),
    ErrorCode: String(toInt32(error)),
    ExtendedErrorCode: String(toInt32(extendedError)),
  };
}

function propertyOf(download: RestDownload, property: Property): string {
  switch (property) {
    case "Id":
      return download.id;
    case "Uri":
      return download.uri;
    case "DownloadFilePath":
      return download.path;
    case "NoProgressTimeoutSeconds":
      return String(download.noProgressTimeoutSec);
  }
}

/** `Id` says which download is meant, and is no property of it here. */
async function setProperties(
  download: RestDownload,
  parameters: ApiCall["parameters"],
): Promise<void> {
  if (parameters.has("PropertyKey")) throw HResultError.of("DO_E_UNKNOWN_PROPERTY_ID");
  for (const [parameter, value] of parameters) {
    if (parameter === "Uri") await download.setUri(value);
    else if (parameter === "DownloadFilePath") await download.setPath(value);
    else if (parameter === "NoProgressTimeoutSeconds") await download.setNoProgressTimeout(value);
  }
}
