/**
 * Which keys are offered to a machine, in OpenSSH's order: keys of the agent that belong to an identity file,
 * files given by --identity, the agent's other keys (not with IdentitiesOnly), the other files. Owns reading
 * the keys and talking to the agent; never a password, never agent forwarding, and no key leaves this process.
 */
import { readFile } from "node:fs/promises";
import ssh2, {
  type AuthenticationType,
  BaseAgent,
  type IdentityCallback,
  type ParsedKey,
  type SignCallback,
  type SigningRequestOptions,
} from "ssh2";
import { type Problem, problem } from "../../core/problem.ts";
import type { IdentityFile, SshTarget } from "./config.ts";

const AGENT_ANSWER_MS = 5_000;

export interface Authentication {
  /** For ssh2: the next thing to try, or false when nothing is left. */
  next(methodsLeft: readonly AuthenticationType[] | null): AuthenticationOffer | false;
  /** What to say when all was refused: a dead agent is named as such, and so are keys that could not be used. */
  refusal(): Problem;
}

export type AuthenticationOffer =
  | { readonly type: "none"; readonly username: string }
  | { readonly type: "publickey"; readonly username: string; readonly key: ParsedKey }
  | { readonly type: "agent"; readonly username: string; readonly agent: BaseAgent };

interface LabelledOffer {
  readonly offer: AuthenticationOffer;
  readonly label: string;
}

export async function prepareAuthentication(target: SshTarget): Promise<Authentication> {
  const [files, agent] = await Promise.all([Promise.all(target.identityFiles.map(readIdentity)), askAgent(target.agentSocket)]);
  const offers = offersInOrder(target, files, agent);
  const tried: string[] = [];
  let accepted: readonly string[] = [];
  return {
    next(methodsLeft) {
      if (methodsLeft !== null) accepted = methodsLeft;
      const next = offers.shift();
      if (next === undefined) return false;
      tried.push(next.label);
      return next.offer;
    },
    refusal() {
      const unusable = files.flatMap((file) => (file.unusable === null ? [] : [`${file.path} (${file.unusable})`]));
      const data = {
        machine: target.machine,
        host: target.hostName,
        port: String(target.port),
        user: target.user,
        tried: tried.join(", "),
        unusable: unusable.join(", "),
        accepted: accepted.join(", "),
      };
      if (agent.kind === "unreachable") return problem("agent-unreachable", { ...data, socket: agent.socket, message: agent.message });
      return problem("authentication-refused", data);
    },
  };
}

function offersInOrder(target: SshTarget, files: readonly Identity[], agent: AgentState): LabelledOffer[] {
  const username = target.user;
  const held = agent.kind === "keys" ? agent.keys : [];
  const isOnFile = (key: ParsedKey): boolean => files.some((file) => file.publicKey?.equals(key.getPublicSSH()) === true);
  const offers: LabelledOffer[] = [];
  const offerAgent = (keys: readonly ParsedKey[]): void => {
    if (agent.kind !== "keys" || keys.length === 0) return;
    offers.push({
      offer: { type: "agent", username, agent: new SomeKeysAgent(agent.agent, keys) },
      label: `${keys.length} ${keys.length === 1 ? "key" : "keys"} of the agent`,
    });
  };
  const offerFile = (file: Identity): void => {
    const key = file.privateKey;
    // A key that the agent holds has been offered by it already.
    if (key === null || held.some((one) => one.getPublicSSH().equals(key.getPublicSSH()))) return;
    offers.push({ offer: { type: "publickey", username, key }, label: file.path });
  };
  offerAgent(held.filter(isOnFile));
  for (const file of files) if (file.explicit) offerFile(file);
  if (!target.identitiesOnly) offerAgent(held.filter((key) => !isOnFile(key)));
  for (const file of files) if (!file.explicit) offerFile(file);
  // With nothing to offer, asking for nothing still tells which methods the machine accepts.
  return offers.length > 0 ? offers : [{ offer: { type: "none", username }, label: "no key" }];
}

interface Identity extends IdentityFile {
  readonly privateKey: ParsedKey | null;
  readonly publicKey: Buffer | null;
  /** Why a file that exists could not be used. */
  readonly unusable: string | null;
}

async function readIdentity(file: IdentityFile): Promise<Identity> {
  const publicKey = await readPublicKey(`${file.path}.pub`);
  const text = await readKeyFile(file.path);
  if (text.kind === "missing") return { ...file, privateKey: null, publicKey, unusable: file.explicit ? "no such file" : null };
  if (text.kind === "unreadable") return { ...file, privateKey: null, publicKey, unusable: text.message };
  const parsed = firstKey(ssh2.utils.parseKey(text.bytes));
  if (parsed instanceof Error) {
    const isEncrypted = /passphrase|encrypted/i.test(parsed.message);
    return { ...file, privateKey: null, publicKey, unusable: isEncrypted ? "encrypted: add it to an agent" : parsed.message };
  }
  // `IdentityFile key.pub` chooses a key of the agent; it is no private key, and no fault.
  if (!parsed.isPrivateKey()) return { ...file, privateKey: null, publicKey: parsed.getPublicSSH(), unusable: null };
  return { ...file, privateKey: parsed, publicKey: parsed.getPublicSSH(), unusable: null };
}

async function readPublicKey(path: string): Promise<Buffer | null> {
  const text = await readKeyFile(path);
  if (text.kind !== "bytes") return null;
  const parsed = firstKey(ssh2.utils.parseKey(text.bytes));
  return parsed instanceof Error ? null : parsed.getPublicSSH();
}

type KeyFile =
  | { readonly kind: "bytes"; readonly bytes: Buffer }
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly message: string };

async function readKeyFile(path: string): Promise<KeyFile> {
  try {
    return { kind: "bytes", bytes: await readFile(path) };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return code === "ENOENT" || code === "ENOTDIR" ? { kind: "missing" } : { kind: "unreadable", message: code };
  }
}

/** Some formats hold several keys; ssh2 then gives an array that its types do not mention. */
function firstKey(parsed: ParsedKey | Error | readonly ParsedKey[]): ParsedKey | Error {
  if (parsed instanceof Error || !Array.isArray(parsed)) return parsed as ParsedKey | Error;
  return (parsed[0] as ParsedKey | undefined) ?? new Error("no key in the file");
}

type AgentState =
  | { readonly kind: "none" }
  | { readonly kind: "keys"; readonly agent: BaseAgent; readonly keys: readonly ParsedKey[] }
  | { readonly kind: "unreachable"; readonly socket: string; readonly message: string };

async function askAgent(socket: string | null): Promise<AgentState> {
  if (socket === null) return { kind: "none" };
  const agent = ssh2.createAgent(socket);
  const { promise, resolve } = Promise.withResolvers<AgentState>();
  const timer = setTimeout(
    () => resolve({ kind: "unreachable", socket, message: `no answer within ${AGENT_ANSWER_MS} ms` }),
    AGENT_ANSWER_MS,
  );
  agent.getIdentities((error, keys) => {
    if (error) return resolve({ kind: "unreachable", socket, message: error.message });
    const parsed = (keys ?? []).map((key) => firstKey(ssh2.utils.parseKey(key as ParsedKey)));
    resolve({ kind: "keys", agent, keys: parsed.filter((key): key is ParsedKey => !(key instanceof Error)) });
  });
  return promise.finally(() => clearTimeout(timer));
}

/** Offers only the given keys of an agent. */
class SomeKeysAgent extends BaseAgent<ParsedKey> {
  constructor(
    private readonly agent: BaseAgent,
    private readonly keys: readonly ParsedKey[],
  ) {
    super();
  }

  getIdentities(callback: IdentityCallback<ParsedKey>): void {
    callback(null, [...this.keys]);
  }

  sign(key: ParsedKey, data: Buffer, options: SigningRequestOptions | SignCallback, callback?: SignCallback): void {
    if (typeof options === "function") this.agent.sign(key, data, options);
    else this.agent.sign(key, data, options, callback);
  }
}
