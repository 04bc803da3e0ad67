/** What the store refuses, as an answer to whoever asked. What it means for the daemon itself is serve.ts's. */
import type { RequestErrorBody } from "../../protocol/error.ts";
import type { StoreError } from "../../store/store-error.ts";

export function storageRefusal(error: StoreError): RequestErrorBody {
  const path = String(error.data["file"] ?? "");
  const where = path === "" ? {} : { path };
  switch (error.code) {
    case "no-space":
      return { code: "no-space", data: where };
    case "record-too-large":
      return { code: "limit-exceeded", data: { what: "bytes of one change", max: error.data["bytesMax"] ?? 0 } };
    case "closed":
      return { code: "shutting-down", data: {} };
    case "locked":
    case "damaged":
    case "newer-format":
    case "io":
    case "network-file-system":
    case "not-owned":
    case "storage-failed":
      return { code: "storage-failed", data: { ...where, message: String(error.data["system"] ?? error.code) } };
  }
}
