/** Short texts that come again and again, such as the ids of nodes: each is made once. Making a string takes longer than finding it, and one that was
 * used as a key of a Map before is found there faster. Bounded: a text takes the place of another one. */
import { areWordsOf, hashWords, putWords } from '../../base/hash.ts'
import { textOf } from './text.ts'

const PLACES = 16_384
/** Longer texts are made each time. */
const WORDS = 8
const BYTES_MAX = WORDS * 4 - 1

export class StringInterner {
  private readonly texts: string[] = new Array<string>(PLACES).fill('')
  /** The bytes of each text, with zeros behind. */
  private readonly words = new Int32Array(PLACES * WORDS)
  private misses = 0

  /** The text from `start` to `end`, plain ASCII. `view`: of the same bytes; up to three behind `end` are read. */
  of(bytes: Uint8Array, view: DataView, start: number, end: number): string {
    const length = end - start
    if (length > BYTES_MAX) return textOf(bytes, start, end)
    const first = (hashWords(view, start, end) >>> 3) & (PLACES - 1)
    if (this.isAt(first, view, start, length)) return this.texts[first]!
    // Two places each: with one, thousands of texts keep driving each other out, and what was driven out is garbage of the old generation.
    if (this.isAt(first ^ 1, view, start, length)) return this.texts[first ^ 1]!
    const text = textOf(bytes, start, end)
    const isFirst = this.texts[first] === '' || (this.texts[first ^ 1] !== '' && isItsTurn(this.misses++))
    const place = isFirst ? first : first ^ 1
    putWords(this.words, place * WORDS, view, start, length)
    this.texts[place] = text
    return text
  }

  private isAt(place: number, view: DataView, start: number, length: number): boolean {
    return this.texts[place]!.length === length && areWordsOf(this.words, place * WORDS, view, start, length)
  }
}

/** Whether what is new takes the first of two places that are both taken. Seldom: nodes report in turn, and if each drove out the one before, none would
 * ever be found. But now and then, so that what nobody asks for any more goes. */
export function isItsTurn(misses: number): boolean {
  return (misses & 7) === 0
}
