/** One worker serves all splats of a page: twenty viewers must not start twenty threads. */
import { Engine, type Answers, type Request } from "./engine";
import source from "worker:./worker.ts";

type Answer = Answers[keyof Answers];
interface Desk {
  ask(id: number, request: Request): Promise<Answer>;
}

function inPage(): Desk {
  const engine = new Engine();
  return { ask: (id, request) => engine.answer(id, request) };
}

function inWorker(): Desk {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(url);
  const waiting = new Map<number, { id: number; request: Request; done: (a: Answer) => void; fail: (e: Error) => void }>();
  let tickets = 0;
  let substitute: Desk | undefined;
  worker.onmessage = ({ data }: MessageEvent<{ ticket: number; answer?: Answer; error?: string }>) => {
    const asked = waiting.get(data.ticket);
    waiting.delete(data.ticket);
    if (data.error === undefined) asked?.done(data.answer);
    else asked?.fail(new Error(data.error));
  };
  // A content security policy may refuse the worker, which is told only now: the page does its work instead.
  worker.onerror = (event) => {
    event.preventDefault();
    substitute = inPage();
    for (const { id, request, done, fail } of waiting.values()) substitute.ask(id, request).then(done, fail);
    waiting.clear();
  };
  return {
    ask(id, request) {
      if (substitute) return substitute.ask(id, request);
      return new Promise((done, fail) => {
        waiting.set(++tickets, { id, request, done, fail });
        worker.postMessage({ ticket: tickets, id, request });
      });
    },
  };
}

let desk: Desk | undefined;
let splats = 0;

function theDesk(): Desk {
  if (!desk) {
    try {
      desk = inWorker();
    } catch {
      desk = inPage();
    }
  }
  return desk;
}

export class SplatEngine {
  private readonly id = ++splats;

  async ask<K extends Request["kind"]>(request: Extract<Request, { kind: K }>): Promise<Answers[K]> {
    return (await theDesk().ask(this.id, request)) as Answers[K];
  }
}
