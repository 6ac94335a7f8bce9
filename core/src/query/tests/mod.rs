//! What queries promise as a whole, on a real storage.

mod building;
mod differential;
mod reading;
mod replica;
