#include "parts.h"

#include "words.h"

int parts_reserve(hm_parts_t *parts, int ranks)
{
    int status = know_create(&parts->know, ranks);
    if (status == 0) status = carry_create(&parts->carry, ranks);
    return status != 0 ? status : agree_create(&parts->agree, &parts->channel, ranks);
}

int parts_place_set(hm_parts_t *parts, hm_topo_t *topo, bool spread)
{
    int status = place_set(&parts->place, topo, spread);
    if (status == 0) ballot_place_set(&parts->agree.ballot, &parts->place);
    return status;
}

void parts_free(hm_parts_t *parts, bool shared_stays)
{
    pool_free(&parts->pool, &parts->channel);
    carry_free(&parts->carry, &parts->channel, &parts->place);
    know_free(&parts->know);
    agree_free(&parts->agree, &parts->channel);
    place_free(&parts->place);
    words_free(&parts->meeting.words, &parts->channel);
    channel_host_free(&parts->channel, parts->meeting.offer);
    channel_close(&parts->channel, shared_stays);
}
