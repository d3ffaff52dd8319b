import { Engine, transferred, type Request } from "./engine";

const engine = new Engine();

self.onmessage = async ({ data }: MessageEvent<{ ticket: number; id: number; request: Request }>) => {
  const { ticket, id, request } = data;
  try {
    const answer = await engine.answer(id, request);
    self.postMessage({ ticket, answer }, { transfer: transferred(answer) });
  } catch (error) {
    self.postMessage({ ticket, error: error instanceof Error ? error.message : String(error) });
  }
};
