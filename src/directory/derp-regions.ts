/** The regions of Tailscale's own DERP servers, as its public DERP map lists them. A tailnet's custom regions have numbers from 900 on and are not in it. */
const CITIES: Readonly<Record<number, string>> = {
  1: 'New York City',
  2: 'San Francisco',
  3: 'Singapore',
  4: 'Frankfurt',
  5: 'Sydney',
  6: 'Bangalore',
  7: 'Tokyo',
  8: 'London',
  9: 'Dallas',
  10: 'Seattle',
  11: 'São Paulo',
  12: 'Chicago',
  13: 'Denver',
  14: 'Amsterdam',
  15: 'Johannesburg',
  16: 'Miami',
  17: 'Los Angeles',
  18: 'Paris',
  19: 'Madrid',
  20: 'Hong Kong',
  21: 'Toronto',
  22: 'Warsaw',
  23: 'Dubai',
  24: 'Honolulu',
  25: 'Nairobi',
  26: 'Nuremberg',
  27: 'Ashburn',
  28: 'Helsinki',
}

/** The city of a path such as `derp-4`; undefined for other paths and for regions that are not Tailscale's own. */
export function derpCity(path: string): string | undefined {
  const region = /^derp-(\d{1,5})$/.exec(path)?.[1]
  return region === undefined ? undefined : CITIES[Number(region)]
}
