"""Names and colors of the classes of public data sets."""

from collections.abc import Sequence

Color = tuple[int, int, int]
"""Red, green and blue, 0..255."""


def _voc_palette(count: int) -> tuple[Color, ...]:
    """PASCAL VOC's colors: bits 0, 3, 6, ... of the index are the high bits of red, 1, 4, 7, ... of green, ..."""

    def intensity(index: int, channel: int) -> int:
        return sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8))

    return tuple((intensity(index, 0), intensity(index, 1), intensity(index, 2)) for index in range(count))


VOC_PALETTE = _voc_palette(256)


def _hexadecimal(colors: str) -> tuple[Color, ...]:
    return tuple((red, green, blue) for red, green, blue in map(bytes.fromhex, colors.split()))


CLASSES: dict[str, Sequence[str]] = {
    "voc": (
        "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
        "pottedplant sheep sofa train tvmonitor"
    ).split(),
    # The background and the 59 most frequent of the 459 labels, as the Berkeley FCNs number them.
    "pascal_context": (
        "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,"
        "pottedplant,sheep,sofa,train,tvmonitor,bag,bed,bench,book,building,cabinet,ceiling,clothes,computer,cup,door,"
        "fence,floor,flower,food,grass,ground,keyboard,light,mountain,mouse,curtain,platform,sign,plate,road,rock,"
        "shelves,sidewalk,sky,snow,bedcloth,track,tree,truck,wall,water,window,wood"
    ).split(","),
    # Siftflow and NYUD: without the data sets' 0, which is void.
    "siftflow": (
        "awning,balcony,bird,boat,bridge,building,bus,car,cow,crosswalk,desert,door,fence,field,grass,moon,mountain,"
        "person,plant,pole,river,road,rock,sand,sea,sidewalk,sign,sky,staircase,streetlight,sun,tree,window"
    ).split(","),
    "nyud": (
        "wall,floor,cabinet,bed,chair,sofa,table,door,window,bookshelf,picture,counter,blinds,desk,shelves,curtain,"
        "dresser,pillow,mirror,floor mat,clothes,ceiling,books,refrigerator,television,paper,towel,shower curtain,box,"
        "whiteboard,person,night stand,toilet,sink,lamp,bathtub,bag,otherstructure,otherfurniture,otherprop"
    ).split(","),
    # In the order of the training labels.
    "cityscapes": (
        "road,sidewalk,building,wall,fence,pole,traffic light,traffic sign,vegetation,terrain,sky,person,rider,car,"
        "truck,bus,train,motorcycle,bicycle"
    ).split(","),
    # COCO-Stuff numbers 91 things and 91 stuffs, of which 171 occur.
    "cocostuff": (
        "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,street sign,"
        "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,hat,backpack,"
        "umbrella,shoe,eye glasses,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,"
        "baseball glove,skateboard,surfboard,tennis racket,bottle,plate,wine glass,cup,fork,knife,spoon,bowl,banana,"
        "apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,mirror,"
        "dining table,window,desk,toilet,door,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
        "refrigerator,blender,book,clock,vase,scissors,teddy bear,hair drier,toothbrush,hair brush,banner,blanket,"
        "branch,bridge,building-other,bush,cabinet,cage,cardboard,carpet,ceiling-other,ceiling-tile,cloth,clothes,"
        "clouds,counter,cupboard,curtain,desk-stuff,dirt,door-stuff,fence,floor-marble,floor-other,floor-stone,"
        "floor-tile,floor-wood,flower,fog,food-other,fruit,furniture-other,grass,gravel,ground-other,hill,house,"
        "leaves,light,mat,metal,mirror-stuff,moss,mountain,mud,napkin,net,paper,pavement,pillow,plant-other,plastic,"
        "platform,playingfield,railing,railroad,river,road,rock,roof,rug,salad,sand,sea,shelf,sky-other,skyscraper,"
        "snow,solid-other,stairs,stone,straw,structural-other,table,tent,textile-other,towel,tree,vegetable,"
        "wall-brick,wall-concrete,wall-other,wall-panel,wall-stone,wall-tile,wall-wood,water-other,waterdrops,"
        "window-blind,window-other,wood"
    ).split(","),
    # Without the data set's 0, which is "other": so CSAILVision and hszhao number the classes.
    "ade20k": (
        "wall,building,sky,floor,tree,ceiling,road,bed,windowpane,grass,cabinet,sidewalk,person,earth,door,table,"
        "mountain,plant,curtain,chair,car,water,painting,sofa,shelf,house,sea,mirror,rug,field,armchair,seat,fence,"
        "desk,rock,wardrobe,lamp,bathtub,railing,cushion,base,box,column,signboard,chest of drawers,counter,sand,"
        "sink,skyscraper,fireplace,refrigerator,grandstand,path,stairs,runway,case,pool table,pillow,screen door,"
        "stairway,river,bridge,bookcase,blind,coffee table,toilet,flower,book,hill,bench,countertop,stove,palm,"
        "kitchen island,computer,swivel chair,boat,bar,arcade machine,hovel,bus,towel,light,truck,tower,chandelier,"
        "awning,streetlight,booth,television receiver,airplane,dirt track,apparel,pole,land,bannister,escalator,"
        "ottoman,bottle,buffet,poster,stage,van,ship,fountain,conveyer belt,canopy,washer,plaything,swimming pool,"
        "stool,barrel,basket,waterfall,tent,bag,minibike,cradle,oven,ball,food,step,tank,trade name,microwave,pot,"
        "animal,bicycle,lake,dishwasher,screen,blanket,sculpture,hood,sconce,vase,traffic light,tray,ashcan,fan,"
        "pier,crt screen,plate,monitor,bulletin board,shower,radiator,glass,clock,flag"
    ).split(","),
    "camvid": "sky building pole road pavement tree sign fence car pedestrian bicyclist".split(),
}
COLORS: dict[str, tuple[Color, ...]] = {
    "voc": VOC_PALETTE[:21],
    # These data sets define no colors.
    "cocostuff": VOC_PALETTE[:182],
    "pascal_context": VOC_PALETTE[:60],
    "siftflow": VOC_PALETTE[1:34],
    "nyud": VOC_PALETTE[1:41],
    "cityscapes": (
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
    "ade20k": _hexadecimal(
        "787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846 08ff33 "
        "ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff "
        "08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff "
        "eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff "
        "0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad "
        "0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 "
        "00ff52 000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa "
        "8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3 "
        "ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff "
        "00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff"
    ),
    "camvid": (
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
}
