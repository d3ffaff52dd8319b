export type GL = WebGL2RenderingContext;

/** A drawn frame's camera and canvas, in device pixels. */
export interface Frame {
  center: [number, number, number];
  rotation: number[]; // cam_from_world, row by row
  focal: number;
  width: number;
  height: number;
  near: number;
}

/** Something that a viewport draws. After a lost context `prepare` is called again, with the new one. */
export interface Layer {
  prepare(gl: GL): void;
  draw(gl: GL, frame: Frame): void;
  /** Give back what a living context holds of it. */
  release(gl: GL): void;
}

export class Program {
  readonly program: WebGLProgram;
  private readonly places = new Map<string, WebGLUniformLocation | null>();

  constructor(
    private readonly gl: GL,
    vertex: string,
    fragment: string,
  ) {
    this.program = gl.createProgram();
    for (const [type, source] of [
      [gl.VERTEX_SHADER, vertex],
      [gl.FRAGMENT_SHADER, fragment],
    ] as const) {
      const shader = gl.createShader(type);
      if (!shader) throw new Error("the graphics context was lost");
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
      gl.deleteShader(shader);
    }
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS) && !gl.isContextLost()) {
      const logs = (gl.getAttachedShaders(this.program) ?? []).map((shader) => gl.getShaderInfoLog(shader));
      throw new Error(`the browser's graphics driver refuses a shader: ${logs.join(" ")}`);
    }
  }

  use(frame: Frame): void {
    const gl = this.gl;
    gl.useProgram(this.program);
    gl.uniformMatrix3fv(this.at("camFromWorld"), true, frame.rotation);
    gl.uniform3fv(this.at("eye"), frame.center);
    gl.uniform1f(this.at("focal"), frame.focal);
    gl.uniform2f(this.at("size"), frame.width, frame.height);
    gl.uniform1f(this.at("near"), frame.near);
  }

  at(name: string): WebGLUniformLocation | null {
    let place = this.places.get(name);
    if (place === undefined) {
      place = this.gl.getUniformLocation(this.program, name);
      this.places.set(name, place);
    }
    return place;
  }
}

/** Delete what was made for a layer; names of buffers and textures that are gone already do no harm. */
export function freed(
  gl: GL,
  { arrays = [], buffers = [], textures = [] }: { arrays?: WebGLVertexArrayObject[]; buffers?: WebGLBuffer[]; textures?: WebGLTexture[] },
): void {
  arrays.forEach((array) => gl.deleteVertexArray(array));
  buffers.forEach((buffer) => gl.deleteBuffer(buffer));
  textures.forEach((texture) => gl.deleteTexture(texture));
}

/** Floats side by side in a buffer, an attribute each of the given sizes; `divisor` 1: once an instance. */
export function attributes(gl: GL, data: Float32Array<ArrayBuffer>, sizes: number[], divisor = 0, first = 0): WebGLBuffer {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
  const stride = 4 * sizes.reduce((sum, size) => sum + size, 0);
  let offset = 0;
  sizes.forEach((size, k) => {
    gl.enableVertexAttribArray(first + k);
    gl.vertexAttribPointer(first + k, size, gl.FLOAT, false, stride, offset);
    gl.vertexAttribDivisor(first + k, divisor);
    offset += 4 * size;
  });
  return buffer;
}

/** The head of the vertex shaders of points, lines and pictures: where a world point is on the canvas, with depth. */
export const PROJECTION = `#version 300 es
precision highp float;
uniform mat3 camFromWorld;
uniform vec3 eye;
uniform float focal;
uniform vec2 size;
uniform float near;
vec4 onCanvas(vec3 world) {
  vec3 p = camFromWorld * (world - eye);
  return vec4(2.0 * focal * p.x / size.x, -2.0 * focal * p.y / size.y, p.z - 2.0 * near, p.z);
}
`;
