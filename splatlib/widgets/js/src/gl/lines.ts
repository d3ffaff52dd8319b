import { freed, Program, PROJECTION, type Frame, type GL, type Layer } from "./program";

const VERTEX = `${PROJECTION}
layout(location = 0) in vec3 from;
layout(location = 1) in vec3 to;
layout(location = 2) in vec4 rgba;
layout(location = 3) in float width;
out vec4 color;
// A quad along the part of the segment that lies before the near plane, "width" pixels across.
void main() {
  color = rgba;
  vec3 a = camFromWorld * (from - eye);
  vec3 b = camFromWorld * (to - eye);
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0);
  if (a.z <= near && b.z <= near) return;
  if (a.z < near) a = mix(a, b, (near - a.z) / (b.z - a.z));
  if (b.z < near) b = mix(b, a, (near - b.z) / (a.z - b.z));
  vec2 pa = focal * a.xy / a.z;
  vec2 pb = focal * b.xy / b.z;
  vec2 along = pb - pa;
  along = dot(along, along) > 1e-8 ? normalize(along) : vec2(1.0, 0.0);
  bool second = (gl_VertexID & 1) == 1;
  float side = float(gl_VertexID >> 1) - 0.5;
  vec3 p = second ? b : a;
  vec2 pixel = (second ? pb : pa) + side * width * vec2(-along.y, along.x);
  gl_Position = vec4(2.0 * pixel.x / size.x * p.z, -2.0 * pixel.y / size.y * p.z, p.z - 2.0 * near, p.z);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 color;
out vec4 drawn;
void main() { drawn = vec4(color.rgb * color.a, color.a); }`;

export interface Line {
  from: [number, number, number];
  to: [number, number, number];
  color: [number, number, number, number];
  width?: number; // CSS pixels
}

/** Straight lines of a width in pixels; over everything, or hidden by what is nearer. */
export class LineLayer implements Layer {
  private gl: GL | undefined;
  private program!: Program;
  private array!: WebGLVertexArrayObject;
  private buffer!: WebGLBuffer;
  private count = 0;
  private data = new Float32Array(0);

  constructor(private readonly onTop: boolean) {}

  set(lines: Line[]): void {
    const ratio = Math.max(globalThis.devicePixelRatio || 1, 1);
    this.data = new Float32Array(lines.flatMap((l) => [...l.from, ...l.to, ...l.color, (l.width ?? 1.2) * ratio]));
    this.count = lines.length;
    this.send();
  }

  prepare(gl: GL): void {
    this.gl = gl;
    this.program = new Program(gl, VERTEX, FRAGMENT);
    this.array = gl.createVertexArray();
    this.buffer = gl.createBuffer();
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    [3, 3, 4, 1].reduce((offset, size, k) => {
      gl.enableVertexAttribArray(k);
      gl.vertexAttribPointer(k, size, gl.FLOAT, false, 44, offset);
      gl.vertexAttribDivisor(k, 1);
      return offset + 4 * size;
    }, 0);
    gl.bindVertexArray(null);
    this.send();
  }

  private send(): void {
    if (!this.gl || this.gl.isContextLost()) return;
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, this.data, this.gl.DYNAMIC_DRAW);
  }

  release(gl: GL): void {
    freed(gl, { arrays: [this.array], buffers: [this.buffer] });
    this.gl = undefined;
  }

  draw(gl: GL, frame: Frame): void {
    if (!this.count) return;
    this.program.use(frame);
    if (this.onTop) gl.disable(gl.DEPTH_TEST);
    else gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(this.array);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, this.count);
    gl.bindVertexArray(null);
  }
}
