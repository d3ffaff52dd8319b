import { attributes, freed, Program, PROJECTION, type Frame, type GL, type Layer } from "./program";

const VERTEX = `${PROJECTION}
layout(location = 0) in vec3 corner;
layout(location = 1) in vec3 right;
layout(location = 2) in vec3 down;
layout(location = 3) in vec4 part;
out vec2 texel;
void main() {
  vec2 at = vec2(float(gl_VertexID & 1), float(gl_VertexID >> 1));
  gl_Position = onCanvas(corner + at.x * right + at.y * down);
  texel = part.xy + at * part.zw;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
uniform sampler2D atlas;
uniform float opacity;
in vec2 texel;
out vec4 drawn;
void main() { drawn = vec4(texture(atlas, texel).rgb * opacity, opacity); }`;

/** A picture in space: its first pixel's corner, its two edges, and which part of the atlas it shows. */
export interface Placed {
  corner: [number, number, number];
  right: [number, number, number];
  down: [number, number, number];
  part: [number, number, number, number];
}

/** Small pictures standing in the scene, all from one texture. */
export class PictureLayer implements Layer {
  opacity = 0.9;
  shown = true;
  private program!: Program;
  private array!: WebGLVertexArrayObject;
  private buffer!: WebGLBuffer;
  private texture!: WebGLTexture;

  constructor(
    private readonly pictures: Placed[],
    private readonly atlas: HTMLCanvasElement,
  ) {}

  prepare(gl: GL): void {
    this.program = new Program(gl, VERTEX, FRAGMENT);
    this.array = gl.createVertexArray();
    gl.bindVertexArray(this.array);
    const data = this.pictures.flatMap((p) => [...p.corner, ...p.right, ...p.down, ...p.part]);
    this.buffer = attributes(gl, new Float32Array(data), [3, 3, 3, 4], 1);
    gl.bindVertexArray(null);
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, this.atlas);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }

  release(gl: GL): void {
    freed(gl, { arrays: [this.array], buffers: [this.buffer], textures: [this.texture] });
  }

  draw(gl: GL, frame: Frame): void {
    if (!this.shown || !this.pictures.length) return;
    this.program.use(frame);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.uniform1i(this.program.at("atlas"), 0);
    gl.uniform1f(this.program.at("opacity"), this.opacity);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(this.array);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, this.pictures.length);
    gl.bindVertexArray(null);
  }
}
