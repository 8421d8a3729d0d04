"""Words and names of the embedded world.

"raspberry" is left out on purpose. It is the paper's example, and the models must not see it.
"""

NAMES = tuple(
    "Ann Bob Cid Dan Eve Fay Gus Hal Ian Jon Kim Leo Mia Ned Oda Pam Ray Sue Tom Uma Val Wes Xia "
    "Yan Zoe".split()
)

SHORT_WORDS = tuple(
    """
    acorn alder amber ankle apple apron arrow aspen bacon badge baker basil beach beard berry birch
    bread brick bridge broom brush butter button cabin cable camel candle canyon carrot castle cedar
    chalk cheese cherry cloud clover coast coffee comet copper coral cotton crane cream creek crown
    daisy desert dinner donkey dragon eagle earth ember engine fabric falcon feather fence ferry
    fiddle finger flame flour flute forest fossil fox garden garlic ginger glass glove goose grape
    grass guitar hammer harbor hazel hedge heron hill honey horse island ivory jacket jelly juniper
    kettle kitten ladder lake lamp lemon lentil letter lily lion lizard maple marble market meadow
    melon mill mirror moss mountain mouse needle nest nettle north nutmeg oak ocean olive onion
    orange otter owl oyster paddle paper parrot peach pear pebble pepper piano pigeon pillow plum
    pocket pond poppy potato puddle quail quartz queen rabbit radio rain raven reed ribbon river
    robin rocket rose saddle salmon sand shadow sheep shell silver sky snow spoon spring spruce
    squirrel star stone storm straw street sugar summer swan table tea thunder tiger timber tomato
    tree trout tulip turtle valley velvet violet wagon walnut water wheat willow window winter wolf
    wood yarn zebra
    """.split()
)

LONG_WORDS = tuple(
    """
    accordion alligator apricot astronaut avocado balloon banana barefoot basketball bicycle
    blackberry blueberry bookkeeper buffalo butterfly buttermilk cantaloupe carpenter caterpillar
    cauliflower chandelier chocolate cinnamon clementine coconut committee cranberry crocodile
    cucumber dandelion dictionary dragonfly elderberry elephant embroidery evergreen fingerprint
    firefighter fisherman flamingo gooseberry grandmother grapefruit grasshopper greenhouse
    hamburger hazelnut headquarters helicopter hippopotamus honeysuckle horseradish hummingbird
    huckleberry iceberg instrument jellyfish kangaroo keyboard lavender lighthouse loganberry
    magnolia marshmallow mayonnaise microscope millennium mississippi mosquito mulberry mushroom
    nectarine nightingale notebook octopus orchestra parallel parsley peppermint persimmon
    photograph pineapple pomegranate porcupine pumpkin quarterback rattlesnake referee refrigerator
    reindeer rhinoceros rhubarb riverbank salamander sandpaper satellite saxophone seashell
    shipwreck skateboard snowflake spaghetti staircase starfish strawberry submarine sunflower
    tambourine tangerine telescope tennessee thermometer thunderstorm toothbrush tournament
    trampoline trumpet typewriter umbrella underground university vegetable volleyball watermelon
    waterfall wilderness woodpecker xylophone yesterday zucchini
    """.split()
)

SYLLABLES = tuple(
    """
    ba be bi bo bra bri cal car cha cho cra da del dor dra du el en er fa fer fi flo fra ga gar gel
    go gra ha hel hi hor in ja jo ka ki kor kru la lem li lo lu ma mer mi mo na nel ni nor oc or pa
    per pi pla pra qua ra ras rel ri ro ru sa ser sha si sol spa str ta tel ti tor tra tu un va ver
    vi vo wa wer wi xa xe ya ye yo za zer zi zo
    """.split()
)
