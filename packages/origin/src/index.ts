/** `@shoal/origin`: HTTP(S) origins behind core's origin port. See docs/architecture.md. */
export { ADDRESS_TABLE } from "./addresses.ts";
export type { AddressTable } from "./addresses.ts";
export { readCaFile } from "./authorities.ts";
export { validatorInText } from "./field-values.ts";
export type { BodyReader, ReadBodyOptions } from "./body-reader.ts";
export { createBodyReader, createOrigin, createOriginCheck } from "./origin.ts";
export type { OriginCheck, OriginLook } from "./origin-check.ts";
export type { Origin, OriginDeps, OriginOptions } from "./origin.ts";
export { parseOriginUrl, showUrl, sidecarUrl } from "./origin-url.ts";
export type { UrlResult } from "./origin-url.ts";
export type { ProxyOptions } from "./proxies.ts";
