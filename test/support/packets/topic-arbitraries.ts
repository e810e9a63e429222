/** Topics and filters of so few names that random ones meet each other often. */
import fc from 'fast-check';

const name = fc.constantFrom('a', 'b', '', '$x');

/** A topic name, of up to five levels. */
export const fewTopic = fc
  .array(name, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((topic) => topic !== '');

/** A topic filter, with and without wildcards, never of a shared subscription. */
export const fewFilter = fc
  .tuple(
    fc.array(fc.oneof({ weight: 2, arbitrary: name }, { weight: 1, arbitrary: fc.constant('+') }), {
      maxLength: 4,
    }),
    fc.boolean(),
  )
  .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'))
  .filter((filter) => filter !== '');
