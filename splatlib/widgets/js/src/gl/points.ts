import { attributes, freed, Program, PROJECTION, type Frame, type GL, type Layer } from "./program";

const VERTEX = `${PROJECTION}
layout(location = 0) in vec3 world;
layout(location = 1) in vec3 rgb;
uniform float pointSize;
out vec3 color;
void main() {
  gl_Position = onCanvas(world);
  gl_PointSize = pointSize;
  color = rgb;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec3 color;
out vec4 drawn;
void main() {
  vec2 off = gl_PointCoord - 0.5;
  if (dot(off, off) > 0.25) discard;
  drawn = vec4(color, 1.0);
}`;

/** Round points, nearer ones before farther ones. */
export class PointLayer implements Layer {
  /** Device pixels. */
  pointSize = 3;
  private gl: GL | undefined;
  private program!: Program;
  private array!: WebGLVertexArrayObject;
  private positionBuffer!: WebGLBuffer;
  private colorBuffer!: WebGLBuffer;

  /** @param positions [3 P]. @param colors [3 P] in 0…1. */
  constructor(
    private readonly positions: Float32Array<ArrayBuffer>,
    private colors: Float32Array<ArrayBuffer>,
  ) {}

  prepare(gl: GL): void {
    this.gl = gl;
    this.program = new Program(gl, VERTEX, FRAGMENT);
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    this.positionBuffer = attributes(gl, this.positions, [3]);
    this.colorBuffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.colorBuffer);
    gl.bufferData(gl.ARRAY_BUFFER, this.colors, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 3, gl.FLOAT, false, 0, 0);
    gl.bindVertexArray(null);
  }

  recolor(colors: Float32Array<ArrayBuffer>): void {
    this.colors = colors;
    if (!this.gl || this.gl.isContextLost()) return;
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.colorBuffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, colors, this.gl.DYNAMIC_DRAW);
  }

  release(gl: GL): void {
    freed(gl, { arrays: [this.array], buffers: [this.positionBuffer, this.colorBuffer] });
    this.gl = undefined;
  }

  draw(gl: GL, frame: Frame): void {
    if (!this.positions.length) return;
    this.program.use(frame);
    gl.uniform1f(this.program.at("pointSize"), this.pointSize);
    gl.enable(gl.DEPTH_TEST);
    gl.disable(gl.BLEND);
    gl.bindVertexArray(this.array);
    gl.drawArrays(gl.POINTS, 0, this.positions.length / 3);
    gl.bindVertexArray(null);
  }
}
