/**
 * The one table of errors. Callers test `error.code`, never text or class. `docs/errors.md` is
 * generated from it, and `test/tidy` checks that every code is raised somewhere.
 *
 * `exitCode` follows the CLI's table: 1 failed, 2 usage, 3 not found, 4 integrity, 5 network or
 * origin, 6 timeout, 7 cancelled or unfinished, 8 disk or quota, 9 daemon unreachable, 10 refused
 * by policy. `transient` errors may succeed if tried again without the user.
 */
export interface ErrorRow {
  /** What failed, in words; details are appended by whoever raises it. */
  readonly message: string;
  /** What the user can do about it. */
  readonly remedy: string;
  readonly transient: boolean;
  readonly httpStatus: number;
  readonly exitCode: number;
}

const row = (
  message: string,
  remedy: string,
  exitCode: number,
  httpStatus: number,
  transient = false,
): ErrorRow => ({ message, remedy, transient, httpStatus, exitCode });

export const ERRORS = {
  ERR_USAGE: row("The request is not valid", "Correct the named value and try again.", 2, 400),
  ERR_SETTING_INVALID: row(
    "A setting has a value out of its range",
    "Use a value in the documented range (docs/settings.md).",
    2,
    400,
  ),
  ERR_URL_INVALID: row(
    "The URL cannot be used",
    "Use an http: or https: URL without user name and password.",
    2,
    400,
  ),
  ERR_DESTINATION_INVALID: row(
    "The destination path cannot be used",
    "Use an absolute path to a file in an existing directory.",
    2,
    400,
  ),
  ERR_DESTINATION_EXISTS: row(
    "The destination already exists",
    "Remove it, or allow overwriting.",
    8,
    409,
  ),
  ERR_DESTINATION_TYPE: row(
    "The destination is not a regular file",
    "Choose a path that is free or holds a regular file.",
    8,
    409,
  ),
  ERR_DESTINATION_MOVED: row(
    "The destination directory was replaced while the job ran",
    "Put the directory back, or cancel the job and create it anew.",
    8,
    409,
  ),
  ERR_DIRECTORY_MISSING: row(
    "The destination directory does not exist",
    "Create the directory and try again.",
    8,
    409,
  ),
  ERR_DIRECTORY_UNWRITABLE: row(
    "The destination directory cannot be written",
    "Check its permissions and that its file system is not read-only.",
    8,
    409,
  ),
  ERR_DISK_FULL: row(
    "The disk is full",
    "Free some space; the job goes on by itself.",
    8,
    507,
    true,
  ),
  ERR_DISK_IO: row(
    "The disk reported an error",
    "Check the disk; resume the job to try again.",
    8,
    500,
    true,
  ),
  ERR_STATE_LOCKED: row(
    "Another agent is using this state directory",
    "Stop the other agent, or choose another state directory.",
    10,
    409,
  ),
  ERR_STATE_NEWER: row(
    "The state was written by a newer Shoal",
    "Use the newer version, or another state directory.",
    8,
    500,
  ),
  ERR_STATE_UNUSABLE: row(
    "The state directory cannot be used",
    "Check that it is yours, writable and mode 0700.",
    8,
    500,
  ),
  ERR_STATE_INVALID: row(
    "A stored record is damaged",
    "Cancel the job and create it anew.",
    8,
    500,
  ),
  ERR_ORIGIN_UNREACHABLE: row(
    "The origin cannot be reached",
    "Check the URL, the network and that the server runs.",
    5,
    502,
    true,
  ),
  ERR_ORIGIN_TIMEOUT: row("The origin did not answer in time", "Try again later.", 6, 504, true),
  ERR_ORIGIN_UNAVAILABLE: row(
    "The origin cannot serve the file now",
    "Try again later.",
    5,
    503,
    true,
  ),
  ERR_ORIGIN_NOT_FOUND: row("The origin does not have the file", "Check the URL.", 3, 404),
  ERR_ORIGIN_REFUSED: row(
    "The origin refused the request",
    "Check the URL and your access to it.",
    5,
    502,
  ),
  ERR_ORIGIN_PROTOCOL: row(
    "The origin broke the HTTP protocol",
    "Tell the server's operator, or use another URL.",
    5,
    502,
  ),
  ERR_ORIGIN_LENGTH_UNKNOWN: row(
    "The origin does not say how long the file is",
    "Use a server that sends Content-Length, or a manifest.",
    5,
    502,
  ),
  ERR_ORIGIN_CONTENT_MISMATCH: row(
    "The origin repeatedly sent bytes that do not match the manifest",
    "Publish the file again, or check the content id.",
    4,
    502,
  ),
  ERR_REMOTE_CHANGING: row(
    "The file at the origin keeps changing",
    "Wait until the file is final, then try again.",
    5,
    502,
  ),
  ERR_REDIRECT_REFUSED: row(
    "The origin redirected to a place that is not allowed",
    "Use the final URL directly if you trust it.",
    10,
    502,
  ),
  ERR_ADDRESS_REFUSED: row(
    "The host's address is not allowed",
    "Use a host whose address is not link-local, multicast or a metadata service.",
    10,
    403,
  ),
  ERR_MANIFEST_MALFORMED: row("The manifest is malformed", "Publish the file again.", 4, 502),
  ERR_MANIFEST_MISMATCH: row(
    "The manifest does not match the content id",
    "Check the content id, or publish the file again.",
    4,
    502,
  ),
  ERR_MANIFEST_UNAVAILABLE: row(
    "No source has the manifest of this content",
    "Publish the file beside the URL, or name a peer that has it.",
    3,
    404,
  ),
  ERR_CONTENT_ID_INVALID: row(
    "The content id is not valid",
    "Use the id printed by `shoal publish`.",
    2,
    400,
  ),
  ERR_CONTENT_MISMATCH: row(
    "The file does not have the expected SHA-256",
    "Check the digest, or ask the publisher.",
    4,
    502,
  ),
  ERR_NO_SOURCE: row(
    "No source can deliver the content",
    "Name an origin that works, or a peer that has the content.",
    5,
    502,
    true,
  ),
  ERR_NO_PROGRESS: row(
    "The job made no progress for too long",
    "Resume the job to try again.",
    6,
    504,
  ),
  ERR_TIMEOUT: row("The time allowed has passed", "Allow more time and try again.", 6, 504),
  ERR_JOB_NOT_FOUND: row("There is no such job", "List the jobs to see their ids.", 3, 404),
  ERR_JOB_STATE: row(
    "The job's state does not allow this",
    "Look at the job's state and choose a verb it allows.",
    1,
    409,
  ),
  ERR_JOB_LIMIT: row(
    "There are too many jobs or files",
    "Acknowledge or cancel jobs that are done.",
    8,
    429,
  ),
  ERR_JOB_CANCELLED: row(
    "The job was cancelled",
    "Create a new job if it is still wanted.",
    7,
    409,
  ),
  ERR_AGENT_CLOSED: row("The agent is closing", "Start a new agent.", 7, 503),
  ERR_FILE_UNREADABLE: row(
    "The file cannot be read",
    "Check the path and its permissions.",
    3,
    404,
  ),
  ERR_PEER_ADDRESS_INVALID: row(
    "A peer's address is not valid",
    "Use a multiaddr such as /ip4/192.0.2.1/tcp/4001/p2p/12D3….",
    2,
    400,
  ),
  ERR_LISTEN_FAILED: row(
    "The agent cannot listen on the address",
    "Choose another port or address.",
    5,
    500,
  ),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** An error as plain JSON: what is stored, sent to clients, and shown. */
export interface ErrorInfo {
  readonly code: ErrorCode;
  /** One sentence: what failed while doing what. */
  readonly message: string;
}

/** Builds an `ErrorInfo`: the table's sentence, then what it happened to. */
export function errorInfo(code: ErrorCode, details?: string): ErrorInfo {
  const { message } = ERRORS[code];
  return { code, message: details === undefined ? message : `${message}: ${details}` };
}

/** The error that Shoal's packages throw and reject with. */
export class ShoalError extends Error {
  override readonly name = "ShoalError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, details?: string, options?: { cause?: unknown }) {
    super(errorInfo(code, details).message, options);
    this.code = code;
  }

  /** May succeed if tried again without the user. */
  get transient(): boolean {
    return ERRORS[this.code].transient;
  }

  /** What the user can do about it. */
  get remedy(): string {
    return ERRORS[this.code].remedy;
  }

  static from(info: ErrorInfo): ShoalError {
    const error = new ShoalError(info.code);
    error.message = info.message;
    return error;
  }
}
