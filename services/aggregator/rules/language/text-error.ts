/** What is wrong with an expression or a template, and where in its text. */
export class TextError extends Error {
  /** 0-based, in characters. */
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.name = 'TextError';
    this.at = at;
  }
}
