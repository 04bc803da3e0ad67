/** How many jobs run at once, here and at every peer. */
export const SLOTS = 16;
