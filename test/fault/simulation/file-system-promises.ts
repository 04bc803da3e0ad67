/** Takes the place of node:fs/promises below the store: each call is done some time later, in an order that the seed decides. */
import { stage } from "./stage.ts";

class FileHandle {
  constructor(readonly fd: number) {}

  chmod(mode: number): Promise<void> {
    return later(() => stage.disk.setMode(this.fd, mode));
  }

  write(bytes: Uint8Array, offset: number, length: number): Promise<{ readonly bytesWritten: number }> {
    return later(() => ({ bytesWritten: stage.disk.write(this.fd, bytes.subarray(offset, offset + length), null) }));
  }

  sync(): Promise<void> {
    stage.disk.tick();
    const finish = stage.disk.sync(this.fd);
    return later(finish);
  }

  close(): Promise<void> {
    return later(() => stage.disk.close(this.fd));
  }
}

export function open(path: string, flags: number, mode?: number): Promise<FileHandle> {
  return later(() => new FileHandle(stage.disk.openFile(path, flags, mode)));
}

export function rename(from: string, to: string): Promise<void> {
  return later(() => stage.disk.move(from, to));
}

export function unlink(path: string): Promise<void> {
  return later(() => stage.disk.remove(path));
}

export function readFile(path: string): Promise<Buffer> {
  return later(() => stage.disk.read(path));
}

/** Never settles when the daemon dies first. */
function later<Result>(call: () => Result): Promise<Result> {
  return new Promise((resolve, reject) => {
    stage.time.after(stage.dice.delayMs(0.01, 5), "daemon", () => {
      try {
        stage.disk.tick();
        resolve(call());
      } catch (error) {
        if (!stage.disk.frozen) reject(error);
      }
    });
  });
}
