mod link;
mod nft;
mod published;
mod world;
